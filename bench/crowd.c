/* Many connections over loopback, both ends here, and a byte to and fro on one after the other.
 *
 *   crowd CPU NUMBER CONNECTIONS NETWORKS UNANSWERED < slices, as in load.h
 *
 * Connections go to 127.0.0.NUMBER, so that several of these may be in one network namespace, and
 * come from as many networks /24.  UNANSWERED more are begun, to an address each, and left alone.
 * "ready" is printed when all are there.  It ends with its input, or after LIFETIME_S. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/resource.h>

#include "load.h"

#define LIFETIME_S 1800
#define PORT 4000
#define UNANSWERED_PORT 4001
#define HERE 0x7f000000
#define FIRST_NETWORK 0x7f400001
#define FIRST_UNANSWERED 0x7f800001

static int *near_ends, *far_ends, connections, next;

static struct sockaddr_in at(unsigned int address, int port)
{
	return (struct sockaddr_in){
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(address), .sin_port = htons(port)};
}

static void allow_many_files(void)
{
	struct rlimit limit;

	check(!getrlimit(RLIMIT_NOFILE, &limit), "getrlimit");
	limit.rlim_cur = limit.rlim_max;
	check(!setrlimit(RLIMIT_NOFILE, &limit), "setrlimit");
}

static int listen_at(unsigned int address)
{
	struct sockaddr_in here = at(address, PORT);
	int listener = socket(AF_INET, SOCK_STREAM, 0);

	check(!bind(listener, (void *)&here, sizeof(here)) && !listen(listener, 16), "listen");
	return listener;
}

static int connect_from(unsigned int address, const struct sockaddr_in *to)
{
	struct sockaddr_in here = at(address, 0);
	int connection = without_delay(socket(AF_INET, SOCK_STREAM, 0)), on = 1;

	/* The port is chosen by connect(), and need not be another for each. */
	check(!setsockopt(connection, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on)),
	      "IP_BIND_ADDRESS_NO_PORT");
	check(!bind(connection, (void *)&here, sizeof(here)), "bind");
	check(!connect(connection, (void *)to, sizeof(*to)), "connect");
	return connection;
}

static void connect_all(unsigned int number, int networks)
{
	struct sockaddr_in there = at(HERE + number, PORT);
	int listener = listen_at(HERE + number);

	near_ends = calloc(connections, sizeof(int));
	far_ends = calloc(connections, sizeof(int));
	check(near_ends && far_ends, "calloc");
	for (int i = 0; i < connections; i++) {
		near_ends[i] = connect_from(FIRST_NETWORK + i % networks * 256, &there);
		far_ends[i] = without_delay(accept(listener, NULL, NULL));
	}
}

static void begin_unanswered(int count)
{
	for (int i = 0; i < count; i++) {
		struct sockaddr_in to = at(FIRST_UNANSWERED + i, UNANSWERED_PORT);
		int connection = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

		check(connection >= 0, "socket");
		check(connect(connection, (void *)&to, sizeof(to)) && errno == EINPROGRESS,
		      "connect without an answer");
	}
}

static void turn(int trips)
{
	for (int i = 0; i < trips; i++, next = (next + 1) % connections) {
		pass(near_ends[next], far_ends[next]);
		pass(far_ends[next], near_ends[next]);
	}
}

static long long cpu_ns(void)
{
	return now_ns(CLOCK_PROCESS_CPUTIME_ID);
}

int main(int count, char **arguments)
{
	if (count != 6) {
		fprintf(stderr, "usage: crowd CPU NUMBER CONNECTIONS NETWORKS UNANSWERED\n");
		return 2;
	}
	alarm(LIFETIME_S);
	pin(arguments[1]);
	allow_many_files();
	connections = atoi(arguments[3]);
	connect_all(atoi(arguments[2]), atoi(arguments[4]));
	begin_unanswered(atoi(arguments[5]));
	printf("ready\n");
	fflush(stdout);
	slices(turn, cpu_ns);
	return 0;
}
