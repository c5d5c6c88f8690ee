/* Paths of a plan, resolved to descriptors. */
#pragma once

#include "launch.h"

/* Opens the path with these flags (O_CLOEXEC implied) and, besides what its kind implies, these RESOLVE_ flags. */
int open_plan_path(const struct launch *launch, const struct plan_path *at, uint64_t flags, uint64_t resolve);

/* Opens the directory that holds the path's last component (O_PATH) and points `name` at that component. */
int open_plan_parent(const struct launch *launch, const struct plan_path *at, char *buffer, const char **name);

/* Opens the path (O_PATH), after making what is missing of it: directories (0755), and a file (0644) or a directory at the end. */
int open_or_make(const struct launch *launch, const struct plan_path *at, uint8_t create);
