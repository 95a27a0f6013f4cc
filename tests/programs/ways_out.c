/* Every way in which a C function is left. What it computes does not matter, but that all of it runs. */
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FAR __attribute__((noinline, noclone))

typedef int operation(int);
struct table {
    const char *name;
    operation *run;
};

volatile int sink;
operation *volatile pointer;
static jmp_buf mark;

FAR int leaf(int n) { return n * 3 + sink; }
FAR static int hidden(int n) { sink += n; return sink ^ n; }
FAR int tail(int n) { return leaf(n + 1); }
FAR int tail_hidden(int n) { sink = n; return hidden(n + 2); }
FAR int tail_library(const char *text) { return atoi(text + 1); }
FAR int maybe_tail(int n) { return n > 3 ? leaf(n) : n; }
FAR int maybe_hidden(int n) { if (n & 1) return hidden(n); return n + sink; }
FAR void maybe_void(int n) { if (n > 2) hidden(n); }
FAR int maybe_pointer(operation *f, int n) { if (f) return f(n); return 0; }
FAR int through_pointer(int n) { return pointer(n); }
FAR int through_member(const struct table *t, int n) { return t->run(n + 1); }
FAR int through_array(int which, int n)
{
    static operation *const all[] = {leaf, hidden, tail};
    return all[which](n);
}

FAR __attribute__((cold)) int complain(const char *what, int n)
{
    sink += n + (int)strlen(what);
    return sink;
}

FAR int never(int n)
{
    if (__builtin_expect(n < 0, 0)) {
        complain("never", n);
        abort();
    }
    return n + sink;
}

FAR int cold_and_back(int n, int *out)
{
    if (__builtin_expect(n < 0, 0)) {
        *out = complain("cold", n) * complain("again", n + 1);
        n = -n;
    }
    sink += n;
    return leaf(n) + *out;
}

FAR int cold_return(int n)
{
    char text[64];
    memset(text, n, sizeof text);
    pointer(text[n & 63]);
    if (__builtin_expect(n > 100, 0)) {
        complain(text, 1);
        return -1;
    }
    pointer(text[2]);
    return text[n & 63] + text[1];
}

FAR int cold_tail(int n)
{
    if (__builtin_expect(n > 100, 0))
        return complain("tail", n);
    return n + sink;
}

FAR int table_values(int n)
{
    switch (n) {
    case 0: return sink + 5;
    case 1: return sink * 7;
    case 2: sink++; return 9;
    case 3: return sink - 13;
    case 4: sink += 2; break;
    case 5: return sink ^ 17;
    case 6: sink = 3; break;
    }
    return n;
}

FAR int table_tails(int n)
{
    switch (n) {
    case 0: return leaf(n);
    case 1: return hidden(n + 1);
    case 2: return tail(n);
    case 3: return maybe_tail(n + 3);
    case 4: return through_pointer(n);
    case 5: return tail_hidden(n);
    default: return never(n);
    }
}

FAR int table_calls(int n, int m)
{
    int sum = 0;
    for (int i = 0; i < m; i++)
        switch (n + i) {
        case 0: sum += leaf(i); break;
        case 1: sum -= hidden(i); break;
        case 2: sum ^= tail(i); break;
        case 3: return sum;
        case 4: sum *= maybe_tail(i); break;
        case 5: if (__builtin_expect(sum == 123456, 0)) abort(); sum++; break;
        case 6: sum += table_values(i); break;
        }
    return sum;
}

FAR int computed(const unsigned char *code)
{
    static void *const labels[] = {&&stop, &&add, &&twice, &&less};
    int value = 1;
    goto *labels[*code];
add:
    value += 3;
    goto *labels[*++code];
twice:
    value *= 2;
    goto *labels[*++code];
less:
    value -= sink;
    goto *labels[*++code];
stop:
    return value;
}

FAR int computed_calls(const unsigned char *code)
{
    static void *const labels[] = {&&stop, &&add, &&twice, &&out};
    int value = 1;
    goto *labels[*code];
add:
    value += leaf(value);
    goto *labels[*++code];
twice:
    value *= hidden(value);
    goto *labels[*++code];
out:
    return tail(value);
stop:
    return value;
}

struct word {
    void *label;
};

FAR int threaded(struct word *program)
{
    int value = 2;
    if (!program[0].label) {
        program[0].label = program[1].label = &&more;
        program[2].label = &&done;
        return 0;
    }
    goto *program->label;
more:
    value += 5;
    program++;
    goto *program->label;
done:
    return value;
}

FAR int recursive(int n) { return n < 2 ? 1 : recursive(n - 1) + recursive(n - 2); }
FAR int looped(int n, int m) { return n == 0 ? m : looped(n - 1, m + n); }
FAR int variable(int n)
{
    char text[n];
    memset(text, 1, n);
    return pointer(text[n - 1]);
}
FAR int aligned(int n)
{
    char text[64] __attribute__((aligned(64)));
    memset(text, n, sizeof text);
    return pointer(text[5]) + text[6];
}
FAR void jumps(int n)
{
    if (n > 3)
        longjmp(mark, n);
    sink = n;
}
FAR int returns_twice(int n)
{
    if (setjmp(mark))
        return 7;
    jumps(n);
    return 8;
}
FAR int compare(const void *a, const void *b) { return *(const int *)a - *(const int *)b; }
FAR void sorted(int *numbers, int n) { qsort(numbers, n, sizeof *numbers, compare); }
FAR __attribute__((noreturn)) void ends(int n) { exit(n ? 3 : 0); }
struct big { long a[5]; };
FAR struct big returns_big(int n) { struct big b = {{n, 1, 2, n, 4}}; b.a[1] += sink; return b; }

int main(void)
{
    int out = 0;
    const struct table t = {"hidden", hidden};
    static const unsigned char code[] = {1, 2, 3, 1, 0}, out_code[] = {1, 2, 1, 3, 0};
    static struct word program[3];
    int numbers[] = {5, 2, 9, 1};
    pointer = leaf;
    tail(1), tail_hidden(2), tail_library(" 12");
    for (int n = 0; n < 9; n++) {
        maybe_tail(n), maybe_hidden(n), maybe_void(n), through_pointer(n), through_member(&t, n);
        through_array(n % 3, n), maybe_pointer(n & 1 ? leaf : NULL, n);
        table_values(n), table_tails(n), table_calls(n, 5), never(n), cold_and_back(n - 2, &out);
    }
    cold_return(3), cold_return(200), cold_tail(3), cold_tail(200);
    computed(code), computed_calls(code), computed_calls(out_code);
    threaded(program), threaded(program);
    recursive(5), looped(4, 1), variable(9), aligned(3), returns_twice(1), returns_twice(5);
    sorted(numbers, 4);
    sink += returns_big(2).a[1];
    ends(sink == 123456);
}
