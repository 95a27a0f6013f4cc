/* One build of a program: work() 97 times. */
#include <stdio.h>

__attribute__((noinline, noclone)) int work(int i)
{
	__asm__ volatile("" ::: "rbx");
	return i + 1;
}

int main(void)
{
	int sum = 0;

	puts("ready");
	fflush(stdout);
	getchar();
	for (int i = 0; i < 97; i++)
		sum = work(sum);
	printf("one %d\n", sum);
	return 3;
}
