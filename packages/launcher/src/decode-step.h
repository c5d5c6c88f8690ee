#pragma once

#include "plan-reader.h"

/* Reads the payload of the step, whose op is known. */
void decode_payload(struct reader *r, struct step *step);

/* Why this op may not stand on this side, before or after `clone`; NULL where it may. */
const char *misplaced_step(const struct step *step, bool cloned);
