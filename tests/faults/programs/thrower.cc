// A library that is loaded late and throws through the frames of whoever calls back.
#include <stdexcept>

static long thrower(long value)
{
	if (value % 2)
		throw std::runtime_error("odd");
	return value;
}

extern "C" long catch_through(long (*relay)(long (*)(long), long), long value)
{
	try {
		return relay(thrower, value);
	} catch (const std::exception &) {
		return -1;
	}
}
