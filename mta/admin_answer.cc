#include "mta/admin_answer.h"

#include "mta/admin_json.h"

namespace holdfast {

AdminResponse admin_answer(int status, std::string json) {
  AdminResponse response;
  response.status = status;
  response.body = std::move(json);
  return response;
}

AdminResponse admin_failure(int status, std::string_view text) {
  return admin_answer(status, error_json(text) + "\n");
}

AdminResponse admin_lines(std::string json_lines) {
  AdminResponse response = admin_answer(200, std::move(json_lines));
  response.content_type = "application/x-ndjson";
  return response;
}

std::string query_value(const AdminRequest& request, const std::string& key) {
  const auto found = request.query.find(key);
  return found == request.query.end() ? std::string() : found->second;
}

}  // namespace holdfast
