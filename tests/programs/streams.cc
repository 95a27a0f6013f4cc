// Uses much of the C++ library, the same way in each run.
#include <algorithm>
#include <iomanip>
#include <iostream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

int main() {
  std::map<std::string, int> sums;
  std::ostringstream out;
  for (int i = 0; i < 211; i++) {
    std::string key = "key" + std::to_string(i * 7919 % 97);
    sums[key] += i;
    out << key << ' ' << std::setw(6) << i << ' ' << i / 3.0 << '\n';
  }
  std::istringstream in(out.str());
  std::string key;
  int number;
  double third;
  long sum = 0;
  while (in >> key >> number >> third) sum += number + static_cast<long>(third) + key.find('9');
  std::vector<std::string> keys;
  for (const auto &[name, value] : sums) keys.push_back(name + "x");
  std::sort(keys.rbegin(), keys.rend());
  for (const auto &name : keys) std::cout << name.substr(1) << ',';
  std::cout << sum << std::endl;
}
