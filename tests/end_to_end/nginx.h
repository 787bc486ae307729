// tests/end_to_end/nginx.h — Debian's nginx as policy host: HTTPS that we did not write.
#pragma once

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "tests/world/process.h"
#include "tests/world/world.h"

namespace holdfast::world {

class Nginx {
 public:
  static std::string missing() {
    return ::access("/usr/sbin/nginx", X_OK) == 0 ? "" : "nginx is not installed (nginx-light)";
  }

  // Serves `policy` at /.well-known/mta-sts.txt of whatever host. Waits until it accepts.
  Nginx(const Identity& identity, const std::string& policy, bool http2) {
    const std::string d = folder_.path().string();
    identity.write_to(folder_.path());
    std::filesystem::create_directories(folder_.path() / ".well-known");
    std::ofstream(folder_.path() / ".well-known/mta-sts.txt") << policy;
    std::filesystem::permissions(folder_.path(), std::filesystem::perms(0755));
    endpoint_ = {"127.0.0.1", local_endpoint(listen_tcp({"127.0.0.1", 0})).port};  // free a moment ago
    std::ofstream(folder_.path() / "nginx.conf")
        << "daemon off; master_process off; pid " << d << "/pid; error_log " << d
        << "/error.log;\nevents {}\nhttp { log_format told '$server_protocol $host $request_uri $status'; "
        << "access_log " << d << "/access.log told; default_type text/plain;\nclient_body_temp_path " << d
        << "/t1; proxy_temp_path " << d << "/t2; fastcgi_temp_path " << d << "/t3; uwsgi_temp_path " << d
        << "/t4; scgi_temp_path " << d << "/t5;\nserver { listen " << endpoint_.text() << " ssl"
        << (http2 ? " http2" : "") << "; ssl_certificate " << d << "/certificate.pem; ssl_certificate_key "
        << d << "/key.pem; root " << d << "; } }\n";
    process_ = std::make_unique<Process>(std::vector<std::string>{"/usr/sbin/nginx", "-p", d, "-e",
                                                                  d + "/error.log", "-c", d + "/nginx.conf"});
    for (int tries = 0; tries < 1500 && !started_; ++tries) {
      try {
        connect_tcp(endpoint_);
        started_ = true;
      } catch (const std::system_error&) {
        std::this_thread::sleep_for(Milliseconds(20));  // it does not say when it is ready
      }
    }
  }

  bool started() const { return started_; }
  Endpoint endpoint() const { return endpoint_; }
  // "HTTP/2.0 mta-sts.postfix.test /.well-known/mta-sts.txt 200", a line for each request.
  std::string requests() const { return content("access.log"); }
  std::string log() const { return content("error.log") + process_->errors(); }

 private:
  std::string content(const char* name) const {
    std::stringstream text;
    text << std::ifstream(folder_.path() / name).rdbuf();
    return text.str();
  }

  TempDir folder_;
  Endpoint endpoint_;
  std::unique_ptr<Process> process_;
  bool started_ = false;
};

}  // namespace holdfast::world
