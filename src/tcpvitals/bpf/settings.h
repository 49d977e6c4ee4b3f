/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/* What the user chose, constant once the programs are loaded. */
#ifndef TCPVITALS_SETTINGS_H
#define TCPVITALS_SETTINGS_H

#include "records.h"

const volatile struct settings settings = {};

#endif
