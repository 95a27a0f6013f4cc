/* loads LIBRARY TIMES: load the library, work with it, unload it. */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

__attribute__((noipa)) long load_and_work(const char *path)
{
	void *library = dlopen(path, RTLD_NOW);
	long (*work)(long) = library ? (long (*)(long))dlsym(library, "plugin_work") : NULL;
	long value = work ? work(7) : -1;

	if (!library || dlclose(library))
		exit(1);
	return value;
}

int main(int argc, char **argv)
{
	long sum = 0;

	for (long i = atol(argv[2]); argc && i--;)
		sum += load_and_work(argv[1]);
	printf("%ld\n", sum);
	return 11;
}
