/* One call that goes 1,000 deep. */
#include <stdio.h>

__attribute__((noipa)) long dive(long depth)
{
	return depth == 1 ? 1 : dive(depth - 1) * 3 + depth;
}

int main(void)
{
	printf("%ld\n", dive(1000));
	return 5;
}
