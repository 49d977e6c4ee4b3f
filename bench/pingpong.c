/* One connection over loopback, one byte to and fro: two received segments a round trip.
 *
 *   pingpong CPU < slices, as in load.h
 *
 * It ends with its input, or after LIFETIME_S. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "load.h"

#define LIFETIME_S 600

static int connection;
static clockid_t answerer_clock;

static void answer(int listener)
{
	int other_end = without_delay(accept(listener, NULL, NULL));
	char byte;

	while (read(other_end, &byte, 1) == 1)
		if (write(other_end, &byte, 1) != 1)
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

static void turn(int trips)
{
	for (int i = 0; i < trips; i++)
		pass(connection, connection); /* what we read is what the answerer wrote */
}

static long long cpu_ns(void)
{
	return now_ns(CLOCK_PROCESS_CPUTIME_ID) + now_ns(answerer_clock);
}

int main(int count, char **arguments)
{
	struct sockaddr_in here = {.sin_family = AF_INET};
	int listener = socket(AF_INET, SOCK_STREAM, 0), answerer;
	socklen_t length = sizeof(here);

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
	slices(turn, cpu_ns);
	close(connection); /* upon which the answerer ends */
	waitpid(answerer, NULL, 0);
	return 0;
}
