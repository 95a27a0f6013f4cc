/* To be preloaded: the clock of the day is off by the seconds in the file $CLOCK_STEP, once there is one. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static long step(void)
{
	FILE *file = fopen(getenv("CLOCK_STEP"), "r");
	long seconds = 0;

	if (file) {
		if (fscanf(file, "%ld", &seconds) != 1)
			seconds = 0;
		fclose(file);
	}
	return seconds;
}

int clock_gettime(clockid_t clock, struct timespec *time)
{
	int result = syscall(SYS_clock_gettime, clock, time);

	if (clock == CLOCK_REALTIME && result == 0)
		time->tv_sec += step();
	return result;
}

int gettimeofday(struct timeval *restrict time, void *restrict zone)
{
	int result = syscall(SYS_gettimeofday, time, zone);

	time->tv_sec += step();
	return result;
}

time_t time(time_t *result)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	if (result)
		*result = now.tv_sec;
	return now.tv_sec;
}
