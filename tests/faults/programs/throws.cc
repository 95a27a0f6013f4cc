// throws HOW DEPTH: exceptions cross DEPTH frames, every other one of which has something to clean up.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <stdexcept>

#define NOINLINE __attribute__((noipa))

static long cleaned;

struct Guard {
	~Guard() { cleaned++; }
};

NOINLINE long plain(long depth, long value);

NOINLINE long guarded(long depth, long value)
{
	Guard guard;

	if (depth <= 1) {
		if (value % 2)
			throw std::runtime_error("odd");
		return value;
	}
	return plain(depth - 1, value) + 1;
}

NOINLINE long plain(long depth, long value)
{
	if (depth <= 1) {
		if (value % 2)
			throw std::runtime_error("odd");
		return value;
	}
	return guarded(depth - 1, value) + 1;
}

NOINLINE long again(long depth, long value)
{
	try {
		return guarded(depth, value);
	} catch (const std::exception &) {
		cleaned += 1000;
		throw;
	}
}

NOINLINE long promised(long depth, long value) noexcept
{
	return guarded(depth, value) + 1;
}

int main(int, char **argv)
{
	long depth = std::atol(argv[2]), caught = 0, sum = 0;

	if (!std::strcmp(argv[1], "noexcept")) {
		std::puts("about to break a promise");
		std::fflush(stdout);
		std::printf("%ld\n", promised(depth, 2));
		std::fflush(stdout);
		promised(depth, 1);
	}
	for (long i = 0; i < 23; i++)
		try {
			sum += std::strcmp(argv[1], "rethrow") ? guarded(depth, i) : again(depth, i);
		} catch (const std::exception &error) {
			caught += error.what()[0] == 'o';
		}
	std::printf("caught %ld sum %ld cleaned %ld\n", caught, sum, cleaned);
	return 7;
}
