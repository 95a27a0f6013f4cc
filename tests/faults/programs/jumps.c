/* longjmp out of 21 frames, again and again; every second time they return. */
#include <setjmp.h>
#include <stdio.h>

static jmp_buf home;

__attribute__((noipa)) long down(long depth, long value)
{
	if (depth == 1) {
		if (value % 2)
			longjmp(home, 1);
		return value;
	}
	return down(depth - 1, value) + 1;
}

__attribute__((noipa)) long leaf(long value)
{
	return value * 3;
}

int main(void)
{
	volatile long jumped = 0, sum = 0;

	for (volatile long i = 0; i < 23; i++) {
		if (setjmp(home))
			jumped++;
		else
			sum += down(21, i);
		sum += leaf(i);
	}
	printf("jumped %ld sum %ld\n", jumped, sum);
	return 9;
}
