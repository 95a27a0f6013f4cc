// Every way in which a C++ function is left.
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <vector>

#define FAR __attribute__((noinline, noclone))

volatile int sink;

struct Shape {
    virtual ~Shape() { sink = sink + 1; }
    virtual int area(int n) = 0;
    virtual int twice(int n) { return area(n) * 2; }
};
struct Square : Shape {
    FAR int area(int n) override { return n * n + sink; }
};
struct Outer : Shape {
    Shape *inner;
    explicit Outer(Shape *shape) : inner(shape) {}
    FAR int area(int n) override { return inner->area(n + 1); }
    FAR int twice(int n) override { return inner ? inner->twice(n) : 0; }
};
struct Guard {
    int value;
    FAR ~Guard() { sink = sink + value; }
};

FAR int thrower(int n)
{
    if (n > 3)
        throw std::runtime_error("more than three");
    return n + sink;
}
FAR int through(int n)
{
    Guard guard{n};
    return thrower(n) + guard.value;
}
FAR int through_tail(int n) { return through(n + 1); }
FAR int caught(int n)
{
    try {
        return through_tail(n);
    } catch (const std::logic_error &) {
        return -2;
    } catch (const std::exception &error) {
        sink = sink + static_cast<int>(std::string(error.what()).size());
        return -1;
    }
}
FAR int again(int n)
{
    try {
        return through(n) + 1;
    } catch (...) {
        Guard guard{3};
        throw;
    }
}
FAR int caught_again(int n)
{
    int sum = 0;
    for (int i = 0; i < 3; i++) {
        try {
            sum += again(n + i);
        } catch (const std::exception &) {
            sum--;
            continue;
        }
        sum += 5;
    }
    return sum;
}
FAR int quiet(int n) noexcept { return n > 100 ? thrower(n) : sink; }
FAR int virtual_tail(Shape *shape, int n) { return shape->area(n); }
FAR void destroy(Shape *shape) { delete shape; }
FAR int sum(const std::vector<int> &numbers)
{
    int total = 0;
    for (int number : numbers)
        total += number;
    return total ? total : static_cast<int>(numbers.at(0));
}

int main()
{
    Shape *square = new Square, *outer = new Outer(square);
    for (int n = 0; n < 6; n++) {
        caught(n), caught_again(n), quiet(n), virtual_tail(square, n), virtual_tail(outer, n), outer->twice(n);
        sum(std::vector<int>(3, n));
    }
    destroy(outer);
    destroy(square);
    return 0;
}
