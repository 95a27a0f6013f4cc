// Functions that share a name, and one of a class: the shapes of docs/.
#define FAR __attribute__((noinline, noclone, noipa))

namespace geo {
struct Shape {
	int sides;
	FAR int area(int size) const { return sides * size; }
};

FAR int scale(int size, int by) { return size * by; }
FAR double scale(double size, int by) { return size * by; }
} // namespace geo

int main()
{
	geo::Shape square{4};

	return geo::scale(square.area(2), 3) + static_cast<int>(geo::scale(1.5, 2));
}
