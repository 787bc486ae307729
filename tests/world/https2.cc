#include <nghttp2/nghttp2.h>

#include <memory>

#include "tests/world/https_server.h"

namespace holdfast::world {
namespace {

constexpr Milliseconds kStreamHangsFor{600000};

struct Exchange {
  HttpRequest request;
  HttpReply reply;
  std::size_t sent = 0;
  bool cut = false;  // all that shall be sent of a truncated body is on its way
};

// One connection: the session calls back while it takes bytes; what it wants to send is fetched frame by
// frame.
class Connection {
 public:
  Connection(HttpsServer& server, Wire& wire, TlsChannel& tls) : server_(server), wire_(wire), tls_(tls) {}

  void run() {
    nghttp2_session_callbacks* callbacks = nullptr;
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
    nghttp2_session_server_new(&session_, callbacks, this);
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, nullptr, 0);
    talk();
    nghttp2_session_del(session_);
  }

 private:
  void talk() {
    char buffer[16384];
    while (send_all() &&
           (nghttp2_session_want_read(session_) != 0 || nghttp2_session_want_write(session_) != 0)) {
      const std::size_t n = tls_.read(buffer, sizeof buffer);
      if (n == 0) return;
      const auto taken = nghttp2_session_mem_recv(session_, reinterpret_cast<const std::uint8_t*>(buffer), n);
      if (taken < 0 || drop_) return;
      if (hang_) {
        wire_.wait_for_end(kStreamHangsFor);
        return;
      }
    }
  }

  bool send_all() {
    for (;;) {
      const std::uint8_t* data = nullptr;
      const auto size = nghttp2_session_mem_send(session_, &data);
      if (size < 0) return false;
      if (size == 0) break;
      if (!tls_.write({reinterpret_cast<const char*>(data), static_cast<std::size_t>(size)})) return false;
      if (drip_.count() > 0 && wire_.wait_for_end(drip_)) return false;
    }
    for (const auto& [id, exchange] : exchanges_) {
      if (exchange->cut) return false;
    }
    return true;
  }

  void answer(std::int32_t id, Exchange& exchange) {
    exchange.request.host = tls_.server_name();
    exchange.reply = server_.reply_to(exchange.request);
    const auto& reply = exchange.reply;
    drop_ = reply.fault == HttpFault::drop;
    hang_ = reply.fault == HttpFault::hang;
    if (drop_ || hang_) return;
    drip_ = reply.fault == HttpFault::drip ? reply.drip_interval : Milliseconds(0);
    std::vector<std::pair<std::string, std::string>> fields = {{":status", std::to_string(reply.status)}};
    if (!reply.content_type.empty()) fields.emplace_back("content-type", reply.content_type);
    fields.emplace_back("content-length", std::to_string(reply.body.size()));
    fields.insert(fields.end(), reply.headers.begin(), reply.headers.end());
    std::vector<nghttp2_nv> values;
    for (auto& [name, value] : fields) {
      values.push_back({reinterpret_cast<std::uint8_t*>(name.data()),
                        reinterpret_cast<std::uint8_t*>(value.data()), name.size(), value.size(),
                        NGHTTP2_NV_FLAG_NONE});
    }
    nghttp2_data_provider provider{};
    provider.source.ptr = &exchange;
    provider.read_callback = read_body;
    nghttp2_submit_response(session_, id, values.data(), values.size(), &provider);
  }

  static ssize_t read_body(nghttp2_session*, std::int32_t, std::uint8_t* buffer, std::size_t size,
                           std::uint32_t* flags, nghttp2_data_source* source, void*) {
    auto& exchange = *static_cast<Exchange*>(source->ptr);
    const auto& reply = exchange.reply;
    std::size_t end = reply.body.size();
    if (reply.fault == HttpFault::truncate) end /= 2;
    std::size_t count = std::min(size, end - exchange.sent);
    if (reply.fault == HttpFault::drip) count = std::min<std::size_t>(count, 1);
    if (count == 0 && reply.fault == HttpFault::truncate) {
      exchange.cut = true;
      return NGHTTP2_ERR_DEFERRED;
    }
    std::copy_n(reply.body.begin() + static_cast<std::ptrdiff_t>(exchange.sent), count, buffer);
    exchange.sent += count;
    if (exchange.sent == reply.body.size()) *flags |= NGHTTP2_DATA_FLAG_EOF;
    return static_cast<ssize_t>(count);
  }

  Exchange& exchange(std::int32_t id) {
    auto& found = exchanges_[id];
    if (!found) found = std::make_unique<Exchange>();
    return *found;
  }
  static Connection& self(void* pointer) { return *static_cast<Connection*>(pointer); }

  static int on_begin_headers(nghttp2_session*, const nghttp2_frame* frame, void* pointer) {
    self(pointer).exchange(frame->hd.stream_id).request.protocol = "h2";
    return 0;
  }
  static int on_header(nghttp2_session*, const nghttp2_frame* frame, const std::uint8_t* name,
                       std::size_t name_size, const std::uint8_t* value, std::size_t value_size, std::uint8_t,
                       void* pointer) {
    auto& request = self(pointer).exchange(frame->hd.stream_id).request;
    const std::string key(reinterpret_cast<const char*>(name), name_size);
    const std::string text(reinterpret_cast<const char*>(value), value_size);
    if (key == ":method") {
      request.method = text;
    } else if (key == ":path") {
      request.path = text;
    } else if (key == ":authority") {
      request.authority = text;
    } else {
      request.headers.emplace_back(key, text);
    }
    return 0;
  }
  static int on_data(nghttp2_session*, std::uint8_t, std::int32_t id, const std::uint8_t* data,
                     std::size_t size, void* pointer) {
    self(pointer).exchange(id).request.body.append(reinterpret_cast<const char*>(data), size);
    return 0;
  }
  static int on_frame(nghttp2_session*, const nghttp2_frame* frame, void* pointer) {
    const bool request = frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA;
    if (request && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) {
      auto& connection = self(pointer);
      connection.answer(frame->hd.stream_id, connection.exchange(frame->hd.stream_id));
    }
    return 0;
  }
  static int on_close(nghttp2_session*, std::int32_t id, std::uint32_t, void* pointer) {
    self(pointer).exchanges_.erase(id);
    return 0;
  }

  HttpsServer& server_;
  Wire& wire_;
  TlsChannel& tls_;
  nghttp2_session* session_ = nullptr;
  std::map<std::int32_t, std::unique_ptr<Exchange>> exchanges_;
  Milliseconds drip_{0};
  bool drop_ = false, hang_ = false;
};

}  // namespace

void serve_http2(HttpsServer& server, Wire& wire, TlsChannel& tls) { Connection(server, wire, tls).run(); }

}  // namespace holdfast::world
