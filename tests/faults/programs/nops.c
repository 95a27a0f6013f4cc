/* A function that begins with a 5-byte NOP, as compilers leave it for tracers; a child calls it too. */
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

long work(long value);
__asm__(".text\n.globl work\n.type work,@function\n"
	"work: .byte 0x0f, 0x1f, 0x44, 0, 0\n"
	"lea 3(%rdi), %rax\nret\n.size work, .-work\n");

__attribute__((noipa)) long work_often(long times)
{
	long sum = 0;

	while (times--)
		sum = work(sum);
	return sum;
}

int main(void)
{
	long sum = work_often(97);
	int status = -1;
	pid_t child = fork();

	if (child == 0)
		_exit(work_often(11));
	waitpid(child, &status, 0);
	printf("%ld %#x\n", sum, status);
	return 3;
}
