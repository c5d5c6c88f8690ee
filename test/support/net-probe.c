/*
 * Real packets for the network tests, in containers and in namespaces that stand for the outside; one static program.
 *
 *   net-probe serve PROTOCOL:PORT…       answers everybody with the address and port that the question came from
 *   net-probe ask PROTOCOL ADDRESS PORT  prints the answer; exit code 1 and the reason where none comes in time
 *   net-probe ping ADDRESS               the same with an echo request, without a capability (busybox' ping needs CAP_NET_RAW)
 *
 * PROTOCOL is tcp, udp or sctp; ADDRESS may be a name. Servers listen on IPv4 and IPv6.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MAXIMUM_SERVERS 256
#define DEADLINE_MS 1000
#define SMALLEST_PORT_TEXT 6

static int open_socket(int family, const char *protocol) {
  if (strcmp(protocol, "udp") == 0) return socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  int number = strcmp(protocol, "sctp") == 0 ? IPPROTO_SCTP : 0;
  return socket(family, SOCK_STREAM | SOCK_CLOEXEC, number);
}

static void fail(const char *what) {
  fprintf(stderr, "net-probe: %s: %s\n", what, strerror(errno));
  exit(1);
}

/* `ADDRESS PORT\n`; an IPv4 address without the prefix of mapped ones. */
static int describe(const struct sockaddr_in6 *peer, char *text, size_t size) {
  char address[INET6_ADDRSTRLEN];
  inet_ntop(AF_INET6, &peer->sin6_addr, address, sizeof address);
  const char *shown = strncmp(address, "::ffff:", 7) == 0 ? address + 7 : address;
  return snprintf(text, size, "%s %d\n", shown, ntohs(peer->sin6_port));
}

static void answer(int server, int datagrams) {
  struct sockaddr_in6 peer;
  socklen_t length = sizeof peer;
  char text[INET6_ADDRSTRLEN + SMALLEST_PORT_TEXT + 2];
  char question[16];
  if (datagrams) {
    if (recvfrom(server, question, sizeof question, 0, (struct sockaddr *)&peer, &length) < 0) return;
    int size = describe(&peer, text, sizeof text);
    sendto(server, text, (size_t)size, 0, (struct sockaddr *)&peer, length);
    return;
  }
  int connection = accept4(server, (struct sockaddr *)&peer, &length, SOCK_CLOEXEC);
  if (connection < 0) return;
  int size = describe(&peer, text, sizeof text);
  if (write(connection, text, (size_t)size) < 0) perror("net-probe: write");
  close(connection);
}

static void serve(int count, char **specs) {
  struct pollfd servers[MAXIMUM_SERVERS];
  int datagrams[MAXIMUM_SERVERS];
  if (count > MAXIMUM_SERVERS) count = MAXIMUM_SERVERS;
  for (int index = 0; index < count; index++) {
    char *colon = strchr(specs[index], ':');
    if (colon == NULL) {
      errno = EINVAL;
      fail(specs[index]);
    }
    *colon = '\0';
    int server = open_socket(AF_INET6, specs[index]);
    if (server < 0) fail(specs[index]);
    int zero = 0, one = 1;
    setsockopt(server, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof zero);
    setsockopt(server, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)atoi(colon + 1))};
    if (bind(server, (struct sockaddr *)&any, sizeof any) < 0) fail("bind");
    datagrams[index] = strcmp(specs[index], "udp") == 0;
    if (!datagrams[index] && listen(server, SOMAXCONN) < 0) fail("listen");
    servers[index] = (struct pollfd){.fd = server, .events = POLLIN};
  }
  printf("serving\n");
  fflush(stdout);
  for (;;) {
    if (poll(servers, (nfds_t)count, -1) < 0) fail("poll");
    for (int index = 0; index < count; index++)
      if (servers[index].revents != 0) answer(servers[index].fd, datagrams[index]);
  }
}

static struct addrinfo *resolve(const char *address, const char *port) {
  struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;
  int error = getaddrinfo(address, port, &hints, &found);
  if (error == 0) return found;
  fprintf(stderr, "net-probe: %s: %s\n", address, gai_strerror(error));
  exit(1);
}

/* Sends the question to the address and prints the answer. */
static int converse(int client, const struct addrinfo *peer, const void *question, size_t question_size) {
  struct timeval deadline = {.tv_sec = DEADLINE_MS / 1000};
  setsockopt(client, SOL_SOCKET, SO_SNDTIMEO, &deadline, sizeof deadline);
  setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &deadline, sizeof deadline);
  if (connect(client, peer->ai_addr, peer->ai_addrlen) < 0) fail("connect");
  if (question_size > 0 && write(client, question, question_size) < 0) fail("write");
  char text[128];
  ssize_t size = read(client, text, sizeof text);
  if (size < 0) fail("read");
  if (size == 0) {
    fprintf(stderr, "net-probe: closed without an answer\n");
    return 1;
  }
  fwrite(text, 1, (size_t)size, stdout);
  return 0;
}

static int ask(const char *protocol, const char *address, const char *port) {
  struct addrinfo *peer = resolve(address, port);
  int client = open_socket(peer->ai_family, protocol);
  if (client < 0) fail(protocol);
  return converse(client, peer, "?", strcmp(protocol, "udp") == 0 ? 1 : 0);
}

static int ping(const char *address) {
  struct addrinfo *peer = resolve(address, "0");
  int is_ipv6 = peer->ai_family == AF_INET6;
  int client = socket(peer->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, is_ipv6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP);
  if (client < 0) fail("icmp");
  /* Type, code, checksum (the kernel's), identifier (the kernel's), sequence number 1. */
  unsigned char request[8] = {is_ipv6 ? 128 : 8, 0, 0, 0, 0, 0, 0, 1};
  return converse(client, peer, request, sizeof request);
}

int main(int count, char **arguments) {
  if (count > 2 && strcmp(arguments[1], "serve") == 0) serve(count - 2, arguments + 2);
  if (count == 5 && strcmp(arguments[1], "ask") == 0) return ask(arguments[2], arguments[3], arguments[4]);
  if (count == 3 && strcmp(arguments[1], "ping") == 0) return ping(arguments[2]);
  fprintf(stderr, "usage: net-probe serve PROTOCOL:PORT... | ask PROTOCOL ADDRESS PORT | ping ADDRESS\n");
  return 2;
}
