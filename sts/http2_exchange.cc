#include <nghttp2/nghttp2.h>

#include <array>
#include <cstring>
#include <memory>
#include <optional>

#include "smtp/base/base_error.h"
#include "sts/http_exchange.h"

namespace holdfast {
namespace {

// Frames that carry no body (SETTINGS, PING, WINDOW_UPDATE, padding): more than this is no conversation.
constexpr std::size_t kMaxOverhead = 256 * 1024;

struct SessionDeleter {
  void operator()(nghttp2_session* session) const { nghttp2_session_del(session); }
};
struct CallbacksDeleter {
  void operator()(nghttp2_session_callbacks* callbacks) const { nghttp2_session_callbacks_del(callbacks); }
};

// The state of the one stream; nghttp2's callbacks fill it in.
class Http2Request {
 public:
  Http2Request(HttpRequest request, std::size_t max_body)
      : request_(std::move(request)), max_body_(max_body) {}

  Result<void> start();
  // The octets to send next, empty when there are none for now. Valid until the next call.
  Result<std::string_view> output();
  Result<void> input(std::string_view octets);
  bool complete() const { return ended_; }
  HttpResponse& response() { return response_; }

 private:
  static int on_header(nghttp2_session*, const nghttp2_frame* frame, const std::uint8_t* name,
                       std::size_t name_length, const std::uint8_t* value, std::size_t value_length,
                       std::uint8_t, void* user);
  static int on_data(nghttp2_session*, std::uint8_t, std::int32_t stream, const std::uint8_t* data,
                     std::size_t length, void* user);
  static int on_frame(nghttp2_session*, const nghttp2_frame* frame, void* user);
  static int on_stream_close(nghttp2_session*, std::int32_t stream, std::uint32_t code, void* user);
  static ssize_t read_body(nghttp2_session*, std::int32_t, std::uint8_t* buffer, std::size_t length,
                           std::uint32_t* flags, nghttp2_data_source*, void* user);

  void header(std::string_view name, std::string_view value);
  void fail(StsError error, std::string detail) {
    if (!failure_ && !ended_) failure_.emplace(error, std::move(detail));
  }

  HttpRequest request_;
  std::size_t max_body_;
  std::unique_ptr<nghttp2_session, SessionDeleter> session_;
  std::int32_t stream_ = -1;
  std::size_t body_sent_ = 0, received_ = 0, header_octets_ = 0;
  int interim_ = 0;
  HttpResponse response_;
  bool header_done_ = false;  // of the final response: what follows are trailers
  bool ended_ = false;        // END_STREAM of the final response was seen: it is whole
  std::optional<Error> failure_;
};

Result<void> Http2Request::start() {
  nghttp2_session_callbacks* raw_callbacks = nullptr;
  if (nghttp2_session_callbacks_new(&raw_callbacks) != 0) throw std::bad_alloc();
  const std::unique_ptr<nghttp2_session_callbacks, CallbacksDeleter> callbacks(raw_callbacks);
  nghttp2_session_callbacks_set_on_header_callback(raw_callbacks, on_header);
  nghttp2_session_callbacks_set_on_data_chunk_recv_callback(raw_callbacks, on_data);
  nghttp2_session_callbacks_set_on_frame_recv_callback(raw_callbacks, on_frame);
  nghttp2_session_callbacks_set_on_stream_close_callback(raw_callbacks, on_stream_close);
  nghttp2_session* raw_session = nullptr;
  if (nghttp2_session_client_new(&raw_session, raw_callbacks, this) != 0) throw std::bad_alloc();
  session_.reset(raw_session);

  const std::array<nghttp2_settings_entry, 3> settings{
      {{NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
       {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 0},
       {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, kMaxResponseHeader}}};
  nghttp2_submit_settings(session_.get(), NGHTTP2_FLAG_NONE, settings.data(), settings.size());

  const std::string authority = request_.url.authority(), length = std::to_string(request_.body.size());
  std::vector<nghttp2_nv> fields;
  const auto add = [&fields](std::string_view name, std::string_view value) {
    // nghttp2 copies both; its interface lacks const.
    fields.push_back({reinterpret_cast<std::uint8_t*>(const_cast<char*>(name.data())),
                      reinterpret_cast<std::uint8_t*>(const_cast<char*>(value.data())), name.size(),
                      value.size(), NGHTTP2_NV_FLAG_NONE});
  };
  add(":method", request_.method);
  add(":scheme", "https");
  add(":authority", authority);
  add(":path", request_.url.path);
  add("user-agent", kUserAgent);
  add("accept-encoding", "identity");
  const bool has_body = !request_.content_type.empty();
  if (has_body) {
    add("content-type", request_.content_type);
    add("content-length", length);
  }
  nghttp2_data_provider body{};
  body.read_callback = read_body;
  stream_ = nghttp2_submit_request(session_.get(), nullptr, fields.data(), fields.size(),
                                   has_body ? &body : nullptr, nullptr);
  if (stream_ < 0) return Error(StsError::http_protocol, nghttp2_strerror(stream_));
  return {};
}

Result<std::string_view> Http2Request::output() {
  const std::uint8_t* octets = nullptr;
  const ssize_t length = nghttp2_session_mem_send(session_.get(), &octets);
  if (length < 0) return Error(StsError::http_protocol, nghttp2_strerror(static_cast<int>(length)));
  return std::string_view(reinterpret_cast<const char*>(octets), static_cast<std::size_t>(length));
}

Result<void> Http2Request::input(std::string_view octets) {
  received_ += octets.size();
  const ssize_t used = nghttp2_session_mem_recv(
      session_.get(), reinterpret_cast<const std::uint8_t*>(octets.data()), octets.size());
  if (failure_) return *failure_;
  if (ended_) return {};
  if (used < 0) return Error(StsError::http_protocol, nghttp2_strerror(static_cast<int>(used)));
  if (received_ > max_body_ + kMaxOverhead) return Error(StsError::http_protocol, "endless HTTP/2 frames");
  if (!nghttp2_session_want_read(session_.get()))
    return Error(StsError::http_protocol, "the HTTP/2 session ended early");
  return {};
}

void Http2Request::header(std::string_view name, std::string_view value) {
  header_octets_ += name.size() + value.size() + 32;  // RFC 9113 section 6.5.2
  if (header_octets_ > kMaxResponseHeader)
    return fail(StsError::http_protocol, "the response's header is too large");
  if (header_done_) return;
  if (name == ":status") {
    response_.status = 0;
    response_.media_type.clear();  // an interim response's fields are not those of the final one
    for (const char c : value)
      response_.status = response_.status * 10 + (c - '0');  // nghttp2 checked: three digits
    if (response_.status / 100 == 1 && ++interim_ > kMaxInterimResponses)
      fail(StsError::http_protocol, "endless interim responses");
  } else if (name == "content-type" && response_.media_type.empty()) {
    response_.media_type = media_type_of(value);
  } else if (name == "content-encoding" && !value.empty() && media_type_of(value) != "identity") {
    fail(StsError::http_protocol, "the response is encoded");
  }
}

int Http2Request::on_header(nghttp2_session*, const nghttp2_frame* frame, const std::uint8_t* name,
                            std::size_t name_length, const std::uint8_t* value, std::size_t value_length,
                            std::uint8_t, void* user) {
  auto& self = *static_cast<Http2Request*>(user);
  if (frame->hd.stream_id != self.stream_) return 0;
  self.header({reinterpret_cast<const char*>(name), name_length},
              {reinterpret_cast<const char*>(value), value_length});
  return self.failure_ ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

int Http2Request::on_data(nghttp2_session*, std::uint8_t, std::int32_t stream, const std::uint8_t* data,
                          std::size_t length, void* user) {
  auto& self = *static_cast<Http2Request*>(user);
  if (stream != self.stream_) return 0;
  if (self.response_.body.size() + length > self.max_body_) {
    self.fail(StsError::too_large, "more than " + std::to_string(self.max_body_) + " octets");
    return NGHTTP2_ERR_CALLBACK_FAILURE;
  }
  self.response_.body.append(reinterpret_cast<const char*>(data), length);
  return 0;
}

int Http2Request::on_frame(nghttp2_session*, const nghttp2_frame* frame, void* user) {
  auto& self = *static_cast<Http2Request*>(user);
  if (frame->hd.type == NGHTTP2_GOAWAY && frame->goaway.last_stream_id < self.stream_) {
    self.fail(StsError::http_protocol, "the host does not take the request (GOAWAY)");
  }
  if (frame->hd.stream_id != self.stream_) return 0;
  if (frame->hd.type == NGHTTP2_HEADERS && self.response_.status >= 200) self.header_done_ = true;
  const bool carries = frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA;
  // nghttp2 has compared content-length with what came before it reports the frame.
  if (carries && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0 && !self.failure_) self.ended_ = true;
  return 0;
}

int Http2Request::on_stream_close(nghttp2_session*, std::int32_t stream, std::uint32_t code, void* user) {
  auto& self = *static_cast<Http2Request*>(user);
  if (stream == self.stream_) {
    self.fail(StsError::http_protocol,
              std::string("the host reset the stream: ") + nghttp2_http2_strerror(code));
  }
  return 0;
}

ssize_t Http2Request::read_body(nghttp2_session*, std::int32_t, std::uint8_t* buffer, std::size_t length,
                                std::uint32_t* flags, nghttp2_data_source*, void* user) {
  auto& self = *static_cast<Http2Request*>(user);
  const std::size_t part = std::min(length, self.request_.body.size() - self.body_sent_);
  std::memcpy(buffer, self.request_.body.data() + self.body_sent_, part);
  self.body_sent_ += part;
  if (self.body_sent_ == self.request_.body.size()) *flags |= NGHTTP2_DATA_FLAG_EOF;
  return static_cast<ssize_t>(part);
}

asio::awaitable<Result<void>> flush(Stream& stream, Http2Request& http) {
  while (true) {
    auto octets = http.output();
    if (!octets) co_return octets.error();
    if (octets->empty()) co_return Result<void>();
    auto written = co_await stream.write(*octets);
    if (!written) co_return written.error();
  }
}

}  // namespace

asio::awaitable<Result<HttpResponse>> http2_exchange(Stream& stream, HttpRequest request,
                                                     std::size_t max_body) {
  Http2Request http(std::move(request), max_body);
  auto started = http.start();
  if (!started) co_return started.error();
  std::vector<char> buffer(16 * 1024);
  const std::span<char> space(buffer);
  while (!http.complete()) {
    auto flushed = co_await flush(stream, http);
    if (!flushed) co_return flushed.error();
    auto length = co_await stream.read_some(space);
    if (!length) co_return length.error();
    auto taken = http.input(std::string_view(buffer.data(), *length));
    if (!taken) co_return taken.error();
  }
  if (http.response().status < 200) co_return Error(StsError::http_protocol, "no such status");
  http.response().version = "HTTP/2";
  co_return std::move(http.response());
}

}  // namespace holdfast
