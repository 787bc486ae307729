#include "mta/test_message.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

namespace holdfast {

Result<TestMessage> make_test_message(const Settings& settings, const std::string& to, WallTime at) {
  auto recipient = Mailbox::parse(to);
  if (!recipient) return recipient.error();
  auto sender = Mailbox::parse(settings.postmaster);
  if (!sender) return sender.error();
  TestMessage test;
  test.envelope.origin = kOperatorOrigin;
  test.envelope.smtputf8 = recipient->needs_smtputf8() || sender->needs_smtputf8();
  const std::string when = fmt::format("{:%Y-%m-%d %H:%M:%S}", std::chrono::floor<std::chrono::seconds>(at));
  test.content = "From: Mail relay <" + sender->text() + ">\r\nTo: <" + recipient->text() +
                 ">\r\nSubject: Test message from " + settings.hostname +
                 "\r\nAuto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n"
                 "Content-Type: text/plain; charset=us-ascii\r\n\r\n"
                 "This message was sent by `holdfast send-test` on " +
                 settings.hostname + "\r\nat " + when +
                 " UTC, to see that mail to this address arrives.\r\nNothing is to be done about it.\r\n";
  test.envelope.reverse_path = std::move(*sender);
  EnvelopeRecipient one;
  one.address = std::move(*recipient);
  test.envelope.recipients.push_back(std::move(one));
  return test;
}

}  // namespace holdfast
