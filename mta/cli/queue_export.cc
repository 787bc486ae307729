#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <optional>
#include <set>

#include "mta/cli/progress.h"
#include "mta/cli/queue_commands.h"
#include "mta/cli/relay_answer.h"
#include "mta/cli/tar_writer.h"
#include "smtp/base/queue_id.h"

namespace holdfast {
namespace {

struct CloseFile {
  void operator()(std::FILE* file) const {
    if (file != stdout) std::fclose(file);
  }
};
using File = std::unique_ptr<std::FILE, CloseFile>;

bool put(std::FILE* file, std::string_view octets) {
  return std::fwrite(octets.data(), 1, octets.size(), file) == octets.size();
}

int cannot_write(const QueueOptions& options) {
  const std::string why = std::strerror(errno);
  complain((options.output.empty() ? std::string("standard output") : options.output.string()) + ": " + why);
  return errno == EACCES || errno == EPERM || errno == EROFS ? exit_code::permission : exit_code::try_again;
}

// The ids of all messages that match, each once, in the order of the queue. Lines may be cut anywhere.
class IdCollector {
 public:
  bool take(std::string_view octets) {
    rest_ += octets;
    for (std::size_t end; (end = rest_.find('\n')) != std::string::npos; rest_.erase(0, end + 1)) {
      std::vector<json::value> line;
      if (!parse_lines(rest_.substr(0, end), line)) return false;
      for (const auto& object : line) {
        std::string id = member(object, "msg");
        if (seen_.insert(id).second) ids_.push_back(std::move(id));
      }
    }
    return true;
  }
  const std::vector<std::string>& ids() const { return ids_; }

 private:
  std::string rest_;
  std::vector<std::string> ids_;
  std::set<std::string> seen_;
};

// The content goes to a file without a name first: a message that turns out damaged must not break the
// archive.
File spool(const AdminClient& client, const std::string& id, std::uint64_t& size, AdminAnswer& answer) {
  File file(std::tmpfile());
  if (!file) return nullptr;
  size = 0;
  answer = client.get_to("/v1/messages/" + id + "/content", {}, [&](std::string_view octets) {
    size += octets.size();
    return put(file.get(), octets);
  });
  if (answer.status != 200) return nullptr;
  std::rewind(file.get());
  return file;
}

bool copy(std::FILE* from, std::FILE* to) {
  char buffer[std::size_t{64} * 1024];
  while (const std::size_t got = std::fread(buffer, 1, sizeof buffer, from))
    if (!put(to, {buffer, got})) return false;
  return std::ferror(from) == 0;
}

bool put_entry(std::FILE* out, const std::string& name, std::string_view content, std::int64_t time) {
  return put(out, tar_header(name, content.size(), time)) && put(out, content) &&
         put(out, tar_padding(content.size()));
}

// Seconds since 1970 of the id: its first 48 bits are milliseconds.
std::int64_t accepted(const std::string& id) {
  const auto parsed = QueueId::parse(id);
  if (!parsed) return 0;
  std::int64_t millis = 0;
  for (std::size_t i = 0; i < 6; ++i) millis = (millis << 8) | parsed->bytes[i];
  return millis / 1000;
}

}  // namespace

int queue_export(const CommonOptions& common, const QueueOptions& options) {
  if (options.output.empty() && stdout_is_terminal())
    return complain("the archive is nothing for a terminal; write --output FILE"), exit_code::usage;
  const auto client = client_for(common);
  if (!client) return exit_code::configuration;
  IdCollector collector;
  const AdminAnswer listed = client->saying("listing the queue")
                                 .get_to("/v1/queue", filters_of(options),
                                         [&](std::string_view octets) { return collector.take(octets); });
  if (const int code = judge(listed); code != exit_code::yes) return code;

  File out(stdout);
  if (!options.output.empty()) {
    // It holds mail: for its owner alone, and never over something else.
    const int fd = ::open(options.output.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) return cannot_write(options);
    out.reset(::fdopen(fd, "wb"));
  }
  std::uint64_t exported = 0;
  std::vector<std::string> missing;
  const AdminClient silent = client->silent();
  std::optional<Progress> bar;
  bar.emplace(Progress::shown(common), "messages exported", collector.ids().size());
  for (const std::string& id : collector.ids()) {
    bar->advance();
    std::uint64_t size = 0;
    AdminAnswer content;
    const AdminAnswer envelope = silent.get("/v1/messages/" + id);
    const File body = envelope.status == 200 ? spool(silent, id, size, content) : nullptr;
    if (envelope.status == 0) return bar.reset(), judge(envelope);
    if (!body) {
      // Delivered since it was listed: nothing is lost. Anything else is told.
      if (envelope.status != 404 && content.status != 404) missing.push_back(id);
      continue;
    }
    const std::string base = "holdfast-queue/" + id;
    const std::int64_t time = accepted(id);
    const bool written = put_entry(out.get(), base + ".json", envelope.body, time) &&
                         put(out.get(), tar_header(base + ".eml", size, time)) &&
                         copy(body.get(), out.get()) && put(out.get(), tar_padding(size));
    if (!written) {
      const int why = errno;
      bar.reset();
      errno = why;
      return cannot_write(options);
    }
    ++exported;
  }
  bar.reset();
  const bool ended = put(out.get(), tar_end()) && std::fflush(out.get()) == 0 &&
                     (options.output.empty() || ::fsync(::fileno(out.get())) == 0);
  if (!ended) return cannot_write(options);
  for (const std::string& id : missing)
    complain("the content of " + printable(id) + " cannot be read; left out");
  complain("exported " + std::to_string(exported) + (exported == 1 ? " message" : " messages"));
  return missing.empty() ? exit_code::yes : exit_code::bad_data;
}

}  // namespace holdfast
