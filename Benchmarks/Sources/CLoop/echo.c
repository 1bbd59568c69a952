// Both ends of request and response.

#include "echo.h"

#include "connection.h"

static u8_t bytes[UINT16_MAX];

// MARK: The server

static err_t server_received(void *argument, struct tcp_pcb *pcb, struct pbuf *packet, err_t error) {
    (void)error;
    if (!packet) {
        connection_close(pcb);
        return ERR_OK;
    }
    u16_t length = connection_read(pcb, packet, argument);
    // Requests are small, and each is answered before the next comes: there is room.
    connection_write(pcb, bytes, length);
    return tcp_output(pcb);
}

static err_t accepted(void *argument, struct tcp_pcb *pcb, err_t error) {
    (void)error;
    connection_opened(pcb, argument);
    tcp_recv(pcb, server_received);
    return ERR_OK;
}

void echo_serve(struct loop *loop, u16_t port) {
    host_listen(&loop->server, port, accepted, (void *)loop->server.options);
}

// MARK: The client

static err_t client_received(void *argument, struct tcp_pcb *pcb, struct pbuf *packet, err_t error) {
    (void)error;
    struct echo *echo = argument;
    if (!packet) return ERR_OK;
    u16_t length = connection_read(pcb, packet, echo->loop->client.options);
    echo->awaited -= LWIP_MIN(length, echo->awaited);
    if (!echo->awaited) echo->answered(echo);
    return ERR_OK;
}

static err_t connected(void *argument, struct tcp_pcb *pcb, err_t error) {
    (void)error;
    struct echo *echo = argument;
    connection_opened(pcb, echo->loop->client.options);
    echo->opened(echo);
    return ERR_OK;
}

static void broken(void *argument, err_t error) {
    (void)error;
    struct echo *echo = argument;
    echo->pcb = NULL;
    echo->failed(echo);
}

void echo_connect(struct echo *echo, u16_t port) {
    echo->pcb = host_connect(&echo->loop->client, port, connected, echo);
    if (!echo->pcb) return echo->failed(echo);
    tcp_recv(echo->pcb, client_received);
    tcp_err(echo->pcb, broken);
}

void echo_send(struct echo *echo, u16_t length) {
    host_enter(&echo->loop->client);
    echo->awaited = length;
    connection_write(echo->pcb, bytes, length);
    tcp_output(echo->pcb);
}

void echo_close(struct echo *echo) {
    host_enter_connection(&echo->loop->client, echo->pcb);
    connection_close(echo->pcb);
    echo->pcb = NULL;
}
