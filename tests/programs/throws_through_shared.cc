// A bystander: throws through the library's frames again and again. A return probe there would abort it.
#include <cstdio>
#include <stdexcept>

extern "C" long shared_call(long (*callback)(long), long value);

static long thrower(long value)
{
	if (value % 2)
		throw std::runtime_error("odd");
	return value;
}

int main()
{
	long caught = 0, sum = 0;

	std::puts("ready");
	std::fflush(stdout);
	for (int c; (c = std::getchar()) != EOF;)
		for (long i = 0; i < 1000; i++)
			try {
				sum += shared_call(thrower, i);
			} catch (const std::exception &) {
				caught++;
			}
	std::printf("%ld %ld\n", caught, sum);
}
