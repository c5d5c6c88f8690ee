#pragma once

#include <stdio.h>

#include "../src/plan.h"

/* Prints the plan as describe-plan.ts does. */
void dump_plan(FILE *to, const struct plan *plan);
