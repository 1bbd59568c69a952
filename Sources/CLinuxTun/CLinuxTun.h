// What opening a TUN device takes beyond Swift's Glibc module.

#pragma once

#include <linux/if_tun.h>
#include <linux/sched.h>
#include <sys/ioctl.h>

// Macros with casts are not imported.
static const unsigned long clinuxtun_set_interface = TUNSETIFF;
static const int clinuxtun_network_namespace = CLONE_NEWNET;

// <sched.h> declares it for _GNU_SOURCE only, which that module is built without.
int setns(int descriptor, int type);
