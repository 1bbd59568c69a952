// Data that a connection sends from where they are: the library's own tcp_write, built to send from single buffers, copies all.

#include "CLwIPSupport.h"

#include <lwip/memp.h>
#include <lwip/priv/tcp_priv.h>
#include <lwip/tcp.h>
#include <stdlib.h>

_Static_assert(!LWIP_TCP_TIMESTAMPS, "segments are made here without options");

struct shared {
    struct pbuf_custom buffer;
    void *owner;
    void (*release)(void *owner);
};

static void free_shared(struct pbuf *buffer) {
    struct shared *shared = (struct shared *)buffer;
    shared->release(shared->owner);
    free(shared);
}

/// TCP's header, and behind it the data; NULL, with nothing released, if there is no memory.
static struct pbuf *make_buffers(const void *bytes, uint16_t count, void *owner, void (*release)(void *owner)) {
    struct shared *shared = malloc(sizeof *shared);
    struct pbuf *header = pbuf_alloc(PBUF_TRANSPORT, 0, PBUF_RAM);
    if (!shared || !header || pbuf_add_header(header, TCP_HLEN)) {
        free(shared);
        if (header) pbuf_free(header);
        return NULL;
    }
    *shared = (struct shared){.buffer.custom_free_function = free_shared, .owner = owner, .release = release};
    pbuf_cat(header, pbuf_alloced_custom(PBUF_RAW, count, PBUF_REF, &shared->buffer, (void *)bytes, count));
    return header;
}

err_t clwip_support_write_shared(struct tcp_pcb *pcb, const void *bytes, uint16_t count, void *owner,
                                 void (*release)(void *owner)) {
    // As tcp_write: SYN-SENT, SYN-RECEIVED, ESTABLISHED or CLOSE-WAIT.
    if ((pcb->state < SYN_SENT || pcb->state > ESTABLISHED) && pcb->state != CLOSE_WAIT) return ERR_CONN;
    if (count > pcb->snd_buf || pcb->snd_queuelen > 0xf000) return ERR_MEM;
    struct tcp_seg *segment = memp_malloc(MEMP_TCP_SEG);
    if (!segment) return ERR_MEM;
    // Checksums are set as packets leave: none of these data counts as one.
    *segment = (struct tcp_seg){.p = make_buffers(bytes, count, owner, release), .len = count};
    segment->flags = TF_SEG_DATA_CHECKSUMMED;
    if (!segment->p) {
        memp_free(MEMP_TCP_SEG, segment);
        return ERR_MEM;
    }
    struct tcp_hdr *header = segment->p->payload;
    segment->tcphdr = header;
    header->src = lwip_htons(pcb->local_port);
    header->dest = lwip_htons(pcb->remote_port);
    header->seqno = lwip_htonl(pcb->snd_lbb);
    TCPH_HDRLEN_FLAGS_SET(header, TCP_HLEN / 4, TCP_PSH);
    header->urgp = 0;

    struct tcp_seg **last = &pcb->unsent;
    while (*last) last = &(*last)->next;
    *last = segment;
    pcb->unsent_oversize = 0;
    pcb->snd_lbb += count;
    pcb->snd_buf -= count;
    pcb->snd_queuelen += pbuf_clen(segment->p);
    return ERR_OK;
}

void *clwip_support_shared_owner(const struct pbuf *buffer) {
    const struct shared *shared = (const struct shared *)buffer;
    int is_shared =
        (buffer->flags & PBUF_FLAG_IS_CUSTOM) && shared->buffer.custom_free_function == free_shared;
    return is_shared ? shared->owner : NULL;
}
