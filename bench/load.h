/* What the load generators have in common: slices of load, told on standard input.
 *
 * Each line "SECONDS [TRIPS_PER_SECOND]" on standard input is one slice; for each, one line
 * "TRIPS ELAPSED_NS CPU_NS" on standard output, CPU_NS of both ends together.  Connections stay the
 * same throughout, so that slices differ in nothing but what was attached meanwhile. */
#ifndef LOAD_H
#define LOAD_H

#include <errno.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define NS 1000000000LL
/* The clock is read this seldom, so that it does not count. */
#define TRIPS_A_TURN 64

static void check(int ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
	exit(1);
}

static long long now_ns(clockid_t clock)
{
	struct timespec now;

	check(!clock_gettime(clock, &now), "clock_gettime");
	return now.tv_sec * NS + now.tv_nsec;
}

static void pin(const char *cpu)
{
	cpu_set_t only;

	CPU_ZERO(&only);
	CPU_SET(atoi(cpu), &only);
	check(!sched_setaffinity(0, sizeof(only), &only), "sched_setaffinity");
}

static int without_delay(int connection)
{
	int on = 1;

	check(connection >= 0, "connection");
	check(!setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)), "TCP_NODELAY");
	return connection;
}

/* A byte to the other end. */
static void pass(int from, int to)
{
	char byte = 0;

	check(write(from, &byte, 1) == 1, "write");
	check(read(to, &byte, 1) == 1, "read");
}

/* With a rate, trips come in turns of a millisecond's worth, and the rest of it is slept. */
static void slice(void (*turn)(int trips), long long (*cpu_ns)(void), double seconds, double rate)
{
	long long start = now_ns(CLOCK_MONOTONIC), end = start + seconds * NS, at = start,
		  cpu = cpu_ns(), trips = 0;
	int each = rate > 0 ? rate / 1000 : TRIPS_A_TURN;

	do {
		turn(each);
		trips += each;
		if (rate > 0) {
			struct timespec next;

			at += NS / 1000;
			next = (struct timespec){at / NS, at % NS};
			clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL);
		}
	} while (now_ns(CLOCK_MONOTONIC) < end);
	cpu = cpu_ns() - cpu;
	printf("%lld %lld %lld\n", trips, now_ns(CLOCK_MONOTONIC) - start, cpu);
	fflush(stdout);
}

/* Until the end of the input. */
static void slices(void (*turn)(int trips), long long (*cpu_ns)(void))
{
	double seconds = 0, rate = 0;
	char line[80];

	for (; fgets(line, sizeof(line), stdin); rate = 0) {
		if (sscanf(line, "%lf %lf", &seconds, &rate) < 1)
			exit(2);
		slice(turn, cpu_ns, seconds, rate);
	}
}

#endif
