/* Reads lines of numbers, and takes 2.5 ms to answer each: the server of docs/. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define FAR __attribute__((noinline, noclone))

FAR long parse_int(const char *text)
{
	return strtol(text, NULL, 10);
}

FAR long parse_line(const char *line)
{
	return parse_int(line) + 1;
}

FAR void answer(long number)
{
	usleep(2500);
	printf("%ld\n", number);
}

int main(void)
{
	char line[64];

	while (fgets(line, sizeof line, stdin))
		answer(parse_line(line));
	return 0;
}
