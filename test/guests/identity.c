/**
 * Who the process is: real, effective and saved ids, groups, and what a process without privilege
 * may still change. Natively as root only; the guest always begins as its own root.
 */
#include "check.h"

#include <grp.h>
#include <sys/fsuid.h>

static void is_user(uid_t real, uid_t effective, uid_t saved) {
  uid_t ids[3];
  CHECK_CALL(getresuid(&ids[0], &ids[1], &ids[2]));
  CHECK(ids[0] == real && ids[1] == effective && ids[2] == saved);
  CHECK(getuid() == real && geteuid() == effective);
}

static void is_group(gid_t real, gid_t effective, gid_t saved) {
  gid_t ids[3];
  CHECK_CALL(getresgid(&ids[0], &ids[1], &ids[2]));
  CHECK(ids[0] == real && ids[1] == effective && ids[2] == saved);
  CHECK(getgid() == real && getegid() == effective);
}

static void is_refused(int result) { CHECK(result == -1 && errno == EPERM); }

static void groups(void) {
  gid_t list[4] = {7, 8, 9};
  CHECK_CALL(setgroups(3, list));
  memset(list, 0, sizeof list);
  CHECK(getgroups(0, NULL) == 3);
  CHECK(getgroups(2, list) == -1 && errno == EINVAL);
  CHECK(getgroups(4, list) == 3 && list[0] == 7 && list[2] == 9);
  CHECK(setgroups(70000, list) == -1 && errno == EINVAL);
}

/** There and back again, by the saved id. */
static void for_a_while(void) {
  CHECK_CALL(setresgid(20, 21, 22));
  is_group(20, 21, 22);
  CHECK_CALL(setresuid(0, 1000, 0));
  is_user(0, 1000, 0);
  CHECK(setfsuid((uid_t)-1) == 1000);
  is_refused(setgroups(0, NULL));
  is_refused(setresuid(5, -1, -1));
  is_refused(setgid(23));
  CHECK_CALL(setresgid(-1, 22, -1));
  is_group(20, 22, 22);
  CHECK_CALL(seteuid(0));
  is_user(0, 0, 0);
  CHECK_CALL(setregid(0, 0));
  is_group(0, 0, 0);
  CHECK_CALL(setreuid(0, 33));
  is_user(0, 33, 33);
  CHECK_CALL(setreuid(33, 0));
  is_user(33, 0, 0);
  CHECK_CALL(setuid(0));
  is_user(0, 0, 0);
  CHECK(setuid(-1) == -1 && errno == EINVAL);
}

static void for_good(void) {
  CHECK_CALL(setgroups(0, NULL));
  CHECK_CALL(setgid(65534));
  CHECK_CALL(setuid(65534));
  is_user(65534, 65534, 65534);
  is_group(65534, 65534, 65534);
  is_refused(setuid(0));
  is_refused(seteuid(0));
  is_refused(setgid(0));
  CHECK_CALL(setuid(65534));
}

int main(int argc, char **argv) {
  struct plan plan = start_plan("identity", argc, argv);
  int is_root = getuid() == 0;
  while (next_round(&plan)) {
    if (is_root) {
      groups();
      for_a_while();
    }
    end_round(&plan);
  }
  if (is_root) for_good();
  return pass(&plan);
}
