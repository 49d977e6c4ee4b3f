/* One connection over loopback, one byte to and fro: two received segments a round trip.
 *
 *   pingpong CPU < commands
 *
 * Each line "SECONDS [TRIPS_PER_SECOND]" on standard input is one slice; for each, one line
 * "TRIPS ELAPSED_NS CPU_NS" on standard output, CPU_NS of both ends together.  The connection stays
 * the same throughout, so that slices differ in nothing but what was attached meanwhile.  It ends
 * with its input, or after LIFETIME_S. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LIFETIME_S 600
#define NS 1000000000LL
/* The clock is read this seldom, so that it does not count. */
#define TRIPS_A_TURN 64

static void check(int ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "pingpong: %s: %s\n", what, strerror(errno));
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

static void answer(int listener)
{
	int connection = without_delay(accept(listener, NULL, NULL));
	char byte;

	while (read(connection, &byte, 1) == 1)
		if (write(connection, &byte, 1) != 1)
			break;
	_exit(0);
}

static int start_answerer(int listener)
{
	pid_t caller = getpid(), answerer = fork();

	check(answerer >= 0, "fork");
	if (answerer)
		return answerer;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != caller)
		_exit(1);
	answer(listener);
	return 0;
}

static void turn(int connection, int trips)
{
	char byte = 0;

	for (int i = 0; i < trips; i++) {
		check(write(connection, &byte, 1) == 1, "write");
		check(read(connection, &byte, 1) == 1, "read");
	}
}

/* With a rate, trips come in turns of a millisecond's worth, and the rest of it is slept. */
static void slice(int connection, clockid_t answerer, double seconds, double rate)
{
	long long start = now_ns(CLOCK_MONOTONIC), end = start + seconds * NS, at = start,
		  trips = 0;
	long long cpu = now_ns(CLOCK_PROCESS_CPUTIME_ID) + now_ns(answerer);
	int each = rate > 0 ? rate / 1000 : TRIPS_A_TURN;

	do {
		turn(connection, each);
		trips += each;
		if (rate > 0) {
			struct timespec next;

			at += NS / 1000;
			next = (struct timespec){at / NS, at % NS};
			clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL);
		}
	} while (now_ns(CLOCK_MONOTONIC) < end);
	cpu = now_ns(CLOCK_PROCESS_CPUTIME_ID) + now_ns(answerer) - cpu;
	printf("%lld %lld %lld\n", trips, now_ns(CLOCK_MONOTONIC) - start, cpu);
	fflush(stdout);
}

int main(int count, char **arguments)
{
	struct sockaddr_in here = {.sin_family = AF_INET};
	int listener = socket(AF_INET, SOCK_STREAM, 0), connection, answerer;
	socklen_t length = sizeof(here);
	clockid_t answerer_clock;
	char line[80];

	if (count != 2) {
		fprintf(stderr, "usage: pingpong CPU\n");
		return 2;
	}
	alarm(LIFETIME_S);
	pin(arguments[1]); /* and with us the answerer */
	here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	check(!bind(listener, (void *)&here, length) && !listen(listener, 1), "listen");
	check(!getsockname(listener, (void *)&here, &length), "getsockname");
	answerer = start_answerer(listener);
	connection = without_delay(socket(AF_INET, SOCK_STREAM, 0));
	check(!connect(connection, (void *)&here, length), "connect");
	check(!clock_getcpuclockid(answerer, &answerer_clock), "clock_getcpuclockid");
	while (fgets(line, sizeof(line), stdin)) {
		double seconds = 0, rate = 0;

		if (sscanf(line, "%lf %lf", &seconds, &rate) < 1)
			return 2;
		slice(connection, answerer_clock, seconds, rate);
	}
	close(connection); /* upon which the answerer ends */
	waitpid(answerer, NULL, 0);
	return 0;
}
