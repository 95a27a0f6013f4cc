/* Another build: where work() was in the one before, there is something else that is run. */
#include <stdio.h>

__attribute__((noinline, noclone)) double other(double a, double b, int i)
{
	__asm__ volatile("" ::: "rbx", "r12", "r13");
	return a * b + i * 3.5 - (a > b ? b * 7 : a * 9);
}

__attribute__((noinline, noclone)) int work(int i)
{
	__asm__ volatile("" ::: "rbx");
	return other(i, 2, 3) > 1e9 ? i + 2 : i + 1;
}

int main(void)
{
	int sum = 0;

	puts("ready");
	fflush(stdout);
	getchar();
	for (int i = 0; i < 89; i++)
		sum = work(sum);
	printf("two %d\n", sum);
	return 5;
}
