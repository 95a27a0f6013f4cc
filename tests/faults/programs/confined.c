/* confined HOW: after the filter is in place, any system call but a few kills this process. */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ALLOW(number) \
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)

static struct sock_filter filter[] = {
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
	ALLOW(SYS_write),
	ALLOW(SYS_exit),
	ALLOW(SYS_exit_group),
	ALLOW(SYS_rt_sigreturn),
	BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
};

__attribute__((noipa)) long work(long value)
{
	return value * 5 + 1;
}

__attribute__((noipa)) long work_often(long times)
{
	long sum = 0;

	for (long i = 0; i < times; i++)
		sum += work(i);
	return sum;
}

int main(int argc, char **argv)
{
	struct sock_fprog program = { sizeof(filter) / sizeof(filter[0]), filter };
	int failed;

	if (argc > 1 && !strcmp(argv[1], "strict"))
		failed = prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT);
	else
		failed = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
	if (failed) {
		perror("seccomp");
		return 1;
	}
	if (work_often(97) == 97 + 5 * 96 * 97 / 2)
		write(1, "right\n", 6);
	syscall(SYS_exit, 8);
	return 1;
}
