/* A library that is loaded, called and unloaded. */
__attribute__((noipa)) long plugin_step(long value)
{
	return value + 3;
}

long plugin_work(long times)
{
	long value = 0;

	while (times--)
		value = plugin_step(value);
	return value;
}
