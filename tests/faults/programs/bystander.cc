// Throws through the library's frames, and forks children that do the same, until its stdin ends.
#include <cstdio>
#include <poll.h>
#include <stdexcept>
#include <sys/wait.h>
#include <unistd.h>

extern "C" long shared_call(long (*callback)(long), long value);

static long thrower(long value)
{
	if (value % 2)
		throw std::runtime_error("odd");
	return value;
}

static bool round_is_right()
{
	long caught = 0, sum = 0;

	for (long i = 0; i < 100; i++)
		try {
			sum += shared_call(thrower, i);
		} catch (const std::exception &) {
			caught++;
		}
	return caught == 50 && sum == 50 * 49 + 50;
}

int main()
{
	struct pollfd input = {0, POLLIN, 0};
	long rounds = 0, wrong = 0;

	std::puts("ready");
	std::fflush(stdout);
	for (; poll(&input, 1, 0) == 0; rounds++) {
		pid_t child = fork();
		int status = -1;

		if (child == 0)
			_exit(round_is_right() ? 11 : 1);
		wrong += !round_is_right();
		waitpid(child, &status, 0);
		wrong += !WIFEXITED(status) || WEXITSTATUS(status) != 11;
	}
	std::printf("%s %ld\n", rounds > 10 ? "many" : "few", wrong);
	return 5;
}
