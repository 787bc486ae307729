#include "mta/page/page_frame.h"

#include <fmt/chrono.h>
#include <openssl/sha.h>

#include "mta/page/status_page.h"
#include "smtp/wire/base64.h"

namespace holdfast {

namespace {

// Columns become lines on a phone: each cell says its own heading (data-h).
constexpr const char kStyle[] = R"css(
:root{color-scheme:light dark;--bg:#f6f7f9;--card:#fff;--line:#e3e6ea;--ink:#1b2330;--soft:#5d6878;--in:#2f6fde;
--out:#1f9d6b;--bad:#c0392b;--warn:#9a6700;--good:#1a7f4f;--tint:#eef2f8}
@media(prefers-color-scheme:dark){:root{--bg:#12161c;--card:#1a2029;--line:#2c3541;--ink:#e6eaf0;--soft:#98a4b5;
--in:#6ea2ff;--out:#4cc790;--bad:#ff7b6b;--warn:#e0b341;--good:#5fd39a;--tint:#222a35}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--ink);font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif;
font-variant-numeric:tabular-nums}
.wrap{max-width:75rem;margin:0 auto;padding:1rem}
header .wrap{display:flex;flex-wrap:wrap;gap:.75rem 1.5rem;align-items:center;justify-content:space-between}
header{background:var(--card);border-bottom:1px solid var(--line)}
.brand{color:inherit;text-decoration:none;display:flex;flex-wrap:wrap;align-items:baseline;gap:.1rem .6rem;min-width:0}
.brand b{font-size:1.15rem;letter-spacing:.01em}.brand span{color:var(--soft);overflow-wrap:anywhere}
form{display:flex;gap:.5rem;flex:1 1 20rem;max-width:32rem}
input,button{font:inherit;padding:.45rem .7rem;border:1px solid var(--line);border-radius:.5rem;background:var(--bg);
color:inherit;min-width:0}
input{flex:1}button{background:var(--in);border-color:var(--in);color:#fff;font-weight:600}
@media(prefers-color-scheme:dark){button{color:#0d1420}}
input:focus-visible,button:focus-visible,a:focus-visible{outline:2px solid var(--in);outline-offset:2px}
h1{font-size:1.35rem;line-height:1.3;margin:.75rem 0 .25rem;overflow-wrap:anywhere}
h2{font-size:1rem;margin:0 0 .75rem}
h1 .pill{vertical-align:.2em}table+h2{margin-top:1.25rem}
p{margin:.25rem 0 .75rem}section>p:last-child{margin-bottom:0}.soft,.soft a{color:var(--soft)}small{color:var(--soft)}
a{color:var(--in)}
section{background:var(--card);border:1px solid var(--line);border-radius:.75rem;padding:1rem 1.1rem;margin:1rem 0;
min-width:0}
.tiles{display:grid;grid-template-columns:repeat(auto-fill,minmax(12rem,1fr));gap:.75rem;margin:1rem 0}
.tile{background:var(--card);border:1px solid var(--line);border-radius:.75rem;padding:.7rem .9rem}
.tile b{display:block;font-size:1.5rem;line-height:1.25;font-weight:650}.tile span{color:var(--soft);font-size:.85rem}
.cols{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,24rem),1fr));gap:1rem;margin:1rem 0;
align-items:start}.cols section{margin:0}
table{width:100%;border-collapse:collapse}
th{text-align:left;font-weight:600;font-size:.8rem;color:var(--soft);padding:.2rem .8rem .4rem 0;vertical-align:bottom}
td{padding:.45rem .8rem .45rem 0;border-top:1px solid var(--line);vertical-align:top;overflow-wrap:anywhere}
th:last-child,td:last-child{padding-right:0}
.num{text-align:right;white-space:nowrap;padding-right:1.6rem}.nowrap{white-space:nowrap}
.why{width:40%}
.pill{display:inline-block;padding:.05rem .55rem;border-radius:1rem;font-size:.8rem;font-weight:600;white-space:nowrap;
background:var(--tint);color:var(--soft)}
.pill.good{color:var(--good)}.pill.bad{color:var(--bad)}.pill.warn{color:var(--warn)}
.scroll{max-height:34rem;overflow:auto}
.chart{width:100%;height:7rem;display:block}.in{fill:var(--in)}.out{fill:var(--out)}.base{stroke:var(--line)}
.key::before{content:"";display:inline-block;width:.7em;height:.7em;border-radius:.2em;margin-right:.4em}
.key{margin-right:1rem}.key.k-in::before{background:var(--in)}.key.k-out::before{background:var(--out)}
.mono{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;font-size:.87em}
.notice{border-left:4px solid var(--bad)}
.timeline{list-style:none;margin:0;padding:0}
.timeline li{border-left:2px solid var(--line);padding:0 0 1rem 1.1rem;position:relative;overflow-wrap:anywhere}
.timeline li::before{content:"";position:absolute;left:-.4rem;top:.45rem;width:.65rem;height:.65rem;border-radius:50%;
background:var(--soft)}
.timeline li.good::before{background:var(--good)}.timeline li.bad::before{background:var(--bad)}
.timeline li.warn::before{background:var(--warn)}.timeline li:last-child{padding-bottom:0}
dl{display:grid;grid-template-columns:minmax(6rem,max-content) 1fr;gap:.15rem 1rem;margin:.35rem 0 0}
.wide{grid-column:2/-1}dt{color:var(--soft)}dt.wide{grid-column:1}dd{margin:0;min-width:0;overflow-wrap:anywhere}
@media(min-width:56rem){.timeline dl{grid-template-columns:6rem 1fr 6rem 1fr}}
footer{color:var(--soft);font-size:.85rem}
@media(max-width:40rem){.wrap{padding:.75rem}.tiles{grid-template-columns:1fr 1fr;gap:.5rem}
section{padding:.85rem .9rem;margin:.75rem 0}.cols{gap:.75rem;margin:.75rem 0}form{max-width:none}
.stack thead{position:absolute;clip-path:inset(50%);height:1px;width:1px;overflow:hidden}
.stack,.stack tbody,.stack tr,.stack td{display:block;width:auto}
.stack tr{border-top:1px solid var(--line);padding:.5rem 0}.stack tbody tr:first-child{border-top:0;padding-top:0}
.stack td{border:0;padding:.1rem 0;text-align:left;white-space:normal;display:grid;grid-template-columns:6.5rem 1fr;
gap:.5rem}
.stack td::before{content:attr(data-h);color:var(--soft);font-size:.85rem}
.stack td:empty{display:none}.stack td>*{justify-self:start}
.scroll{max-height:none}}
)css";

std::string style_hash() {
  unsigned char digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(kStyle), sizeof kStyle - 1, digest);
  return "sha256-" + base64_encode({reinterpret_cast<const char*>(digest), sizeof digest});
}

}  // namespace

const std::string& page_content_policy() {
  static const std::string policy = "default-src 'none'; style-src '" + style_hash() +
                                    "'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";
  return policy;
}

std::string time_text(WallTime at) {
  if (at == WallTime()) return "–";
  return fmt::format("{:%Y-%m-%d %H:%M:%S}", std::chrono::floor<std::chrono::seconds>(at));
}

std::int64_t seconds_between(WallTime from, WallTime to) {
  return std::chrono::floor<std::chrono::seconds>(to - from).count();
}

void begin_page(Html& html, std::string_view title, std::string_view hostname, std::string_view term) {
  html << "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
          "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">"
          "<meta name=\"robots\" content=\"noindex\"><title>";
  html.text(title) << "</title><style>" << kStyle
                   << "</style></head>\n<body><header><div class=\"wrap\">"
                      "<a class=\"brand\" href=\"/\"><b>Holdfast</b><span>";
  html.text(hostname)
      << "</span></a>"
         "<form action=\"/\" method=\"get\" role=\"search\"><input type=\"search\" name=\"q\" "
         "aria-label=\"Find a message\" maxlength=\"320\" autocomplete=\"off\" "
         "spellcheck=\"false\" placeholder=\"Queue id, address or Message-ID\" value=\"";
  html.text(term) << "\"><button>Find</button></form></div></header>\n<main class=\"wrap\">\n";
}

void end_page(Html& html, WallTime now) {
  html << "</main><footer><div class=\"wrap\">As of ";
  html.text(time_text(now)) << " UTC. Load the page again for the present.</div></footer></body></html>\n";
}

}  // namespace holdfast
