/*
 * obeys: does what each character on stdin says, and then writes one: `c` calls plain(), `e` enters nest(), in which it
 * goes on to obey, and `l` leaves it.
 */
#include <unistd.h>

/* Saving rbx makes them begin with `push`, which the kernel emulates rather than single-steps. */
#define FAR __attribute__((noinline, noclone))

static void done(void)
{
	if (write(1, ".", 1) != 1)
		_exit(1);
}

FAR long plain(long i)
{
	__asm__ volatile("" ::: "rbx");
	return i + 1;
}

long nest(long depth);

static void obey(long depth)
{
	char order;

	while (read(0, &order, 1) == 1) {
		if (order == 'l')
			return;
		if (order == 'c')
			plain(depth);
		else
			nest(depth + 1);
		done();
	}
}

FAR long nest(long depth)
{
	__asm__ volatile("" ::: "rbx");
	done();
	obey(depth);
	return depth + 1;
}

int main(void)
{
	done();
	obey(0);
	return 0;
}
