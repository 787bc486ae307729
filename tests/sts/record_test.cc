// The _mta-sts record, RFC 8461 section 3.1; with the mistakes seen in other implementations.
#include "sts/record.h"

#include <gtest/gtest.h>

#include "sts/sts_error.h"

namespace holdfast {
namespace {

std::string id_of(const std::vector<std::string>& txt) {
  const auto found = find_sts_record(txt);
  if (!found) return "error";
  return *found ? (*found)->id : "none";
}

TEST(StsRecord, IsReadWithAndWithoutATrailingSemicolon) {
  EXPECT_EQ(id_of({"v=STSv1; id=20160831085700Z;"}), "20160831085700Z");
  EXPECT_EQ(id_of({"v=STSv1;id=1"}), "1");
  EXPECT_EQ(id_of({"v=STSv1;\tid=1 ; "}), "1");
}

TEST(StsRecord, MayHaveExtensionsInAnyPlaceAfterTheVersion) {
  EXPECT_EQ(id_of({"v=STSv1; x-1.y_z=a:b/c; id=7; foo=bar"}), "7");
}

TEST(StsRecord, TakesTheFirstOfSeveralIds) { EXPECT_EQ(id_of({"v=STSv1; id=first; id=second"}), "first"); }

TEST(StsRecord, IdHasOneTo32LettersAndDigits) {
  EXPECT_EQ(id_of({"v=STSv1; id=" + std::string(32, 'a')}), std::string(32, 'a'));
  for (const std::string& id :
       {std::string(33, 'a'), std::string(), std::string("a-b"), std::string("a b")}) {
    EXPECT_EQ(id_of({"v=STSv1; id=" + id + ";"}), "error") << id;
  }
}

TEST(StsRecord, MalformedFieldsMakeItInvalid) {
  for (const std::string text :
       {"v=STSv1;", "v=STSv1; ", "v=STSv1; ;id=1", "v=STSv1; id=1;;", "v=STSv1; id =1", "v=STSv1; id= 1",
        "v=STSv1; foo; id=1", "v=STSv1; foo=; id=1", "v=STSv1; -x=1; id=1", "v=STSv1; foo=a=b; id=1",
        "v=STSv1; foo=a b; id=1", "v=STSv1; foo=1"}) {
    EXPECT_EQ(id_of({text}), "error") << text;
  }
}

// Seen elsewhere: counting before dropping, so that any stray TXT record disables the policy.
TEST(StsRecord, StrayRecordsCannotSwitchThePolicyOff) {
  EXPECT_EQ(id_of({"v=spf1 -all", "v=STSv1; id=1", "v=STSv2; id=9", "v=stsv1; id=2", " v=STSv1; id=3", "",
                   "v=STSv1"}),
            "1");
}

// Seen elsewhere: the strings of all TXT records joined to one text.
TEST(StsRecord, RecordsAreNotJoined) { EXPECT_EQ(id_of({"v=STSv1;", " id=1;"}), "error"); }

TEST(StsRecord, TwoRecordsOfTheVersionMeanNoPolicyEvenIfOneIsInvalid) {
  EXPECT_EQ(id_of({"v=STSv1; id=1", "v=STSv1; id=2"}), "error");
  EXPECT_EQ(id_of({"v=STSv1; id=1", "v=STSv1; id=!"}), "error");
}

TEST(StsRecord, NoRecordOfTheVersionMeansNone) {
  EXPECT_EQ(id_of({}), "none");
  EXPECT_EQ(id_of({"v=spf1 -all"}), "none");
  EXPECT_EQ(id_of({"v=STSv10; id=1"}), "none");
}

TEST(StsRecord, WhiteSpaceBeforeTheFirstSemicolonNeitherDisablesNorCompetes) {
  EXPECT_EQ(id_of({"v=STSv1 ; id=1"}), "1");
  EXPECT_EQ(id_of({"v=STSv1; id=2", "v=STSv1 ; id=1"}), "2");
}

TEST(StsRecord, ErrorSaysWhatIsWrong) {
  const auto found = find_sts_record({"v=STSv1; id=a_b"});
  ASSERT_FALSE(found);
  EXPECT_TRUE(found.error().is(StsError::record_invalid));
  EXPECT_NE(found.error().text().find("a_b"), std::string::npos);
}

}  // namespace
}  // namespace holdfast
