// smtp/base/result.h — how a function says that it could not do what was asked.
//
// An Error means that a conversation broke or an operation failed. A refusal by a peer is a value, not an
// Error. `code` is for the program, `detail` for people: what was tried, on what, and what came instead.
//
// Each sub-room has one enum of errors; an enum becomes usable as an Error by two functions found by ADL:
//   const char* category_name(TheEnum);   // the category's name, e.g. "dns"
//   const char* describe(TheEnum);         // a short sentence
#pragma once

#include <boost/system/error_code.hpp>
#include <boost/system/result.hpp>
#include <concepts>
#include <string>
#include <type_traits>
#include <utility>

namespace holdfast {

template <class E>
concept ErrorEnum = std::is_enum_v<E> && requires(E e) {
  { category_name(e) } -> std::convertible_to<const char*>;
  { describe(e) } -> std::convertible_to<const char*>;
};

template <ErrorEnum E>
class EnumCategory final : public boost::system::error_category {
 public:
  const char* name() const noexcept override { return category_name(E{}); }
  std::string message(int value) const override { return describe(static_cast<E>(value)); }
  static const EnumCategory& instance() {
    static const EnumCategory category;
    return category;
  }
};

template <ErrorEnum E>
boost::system::error_code to_error_code(E e) {
  return {static_cast<int>(e), EnumCategory<E>::instance()};
}

struct Error {
  boost::system::error_code code;
  std::string detail;

  Error() = default;  // no error; boost::system::result asks for it
  Error(boost::system::error_code error_code, std::string text) : code(error_code), detail(std::move(text)) {}
  template <ErrorEnum E>
  Error(E e, std::string text = {}) : code(to_error_code(e)), detail(std::move(text)) {}  // NOLINT: implicit

  template <ErrorEnum E>
  bool is(E e) const {
    return code == to_error_code(e);
  }
  // "time ran out: reading the greeting of mx.example"
  std::string text() const { return detail.empty() ? code.message() : code.message() + ": " + detail; }
};

// Called by Result::value() on an error: asking for a value that is not there is a bug.
[[noreturn]] void throw_exception_from_error(const Error& error, const boost::source_location& where);

template <class T>
using Result = boost::system::result<T, Error>;

}  // namespace holdfast
