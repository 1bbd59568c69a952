// The way of a segment from the library to packets: cut to the MSS, with the options of a SYN and all checksums set.

#include "CLwIPSupport.h"

#include <CInternetChecksum.h>
#include <lwip/pbuf.h>
#include <string.h>

enum { syn = 2, fin = 1, psh = 8 };

static uint16_t get16(const uint8_t *bytes) { return (uint16_t)(bytes[0] << 8 | bytes[1]); }

static void set16(uint8_t *bytes, uint16_t value) {
    bytes[0] = (uint8_t)(value >> 8);
    bytes[1] = (uint8_t)value;
}

static void set32(uint8_t *bytes, uint32_t value) {
    set16(bytes, (uint16_t)(value >> 16));
    set16(bytes + 2, (uint16_t)value);
}

static uint32_t get32(const uint8_t *bytes) { return (uint32_t)get16(bytes) << 16 | get16(bytes + 2); }

/// Folds a sum of words as they lie in memory into a checksum, as it lies in memory.
static void set_checksum(uint8_t *field, uint32_t sum) {
    while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
    uint16_t value = (uint16_t)~sum;
    memcpy(field, &value, sizeof value);
}

/// Announces the MSS and the window scale of the stack in place of the library's (RFC 9293 section 3.2, RFC 7323).
static void set_syn_options(uint8_t *options, size_t length, uint16_t mss, uint8_t scale) {
    for (size_t i = 0; i < length;) {
        size_t step = options[i] == 1 ? 1 : i + 1 < length ? options[i + 1] : 0;
        if (options[i] == 0 || step == 0) return;
        if (options[i] == 2 && step == 4) set16(options + i + 2, mss);
        if (options[i] == 3 && step == 3) options[i + 2] = scale;
        i += step;
    }
}

struct clwip_packet_shape clwip_support_shape(const struct pbuf *packet, uint16_t mss) {
    const uint8_t *bytes = packet->payload;
    size_t network = bytes[0] >> 4 == 6 ? 40 : (bytes[0] & 15) * 4;
    struct clwip_packet_shape shape = {.header = (uint16_t)(network + (bytes[network + 12] >> 4) * 4)};
    shape.data = (uint16_t)(packet->tot_len - shape.header);
    shape.flags = bytes[network + 13];
    shape.count = shape.data > mss ? (uint16_t)((shape.data + mss - 1) / mss) : 1;
    return shape;
}

void clwip_support_write_packets(const struct pbuf *packet, struct clwip_packet_shape shape, uint16_t mss,
                                 uint16_t own_mss, uint8_t own_scale, uint8_t *out) {
    const uint8_t *header = packet->payload;
    int is_ip6 = header[0] >> 4 == 6;
    size_t network = is_ip6 ? 40 : (header[0] & 15) * 4, left = shape.data, offset = shape.header;
    uint32_t sequence = get32(header + network + 4);
    uint8_t flags = header[network + 13];

    for (unsigned i = 0; i < shape.count; i++) {
        size_t data = left > mss ? mss : left, length = shape.header - network + data;
        uint8_t *tcp = out + network;
        memcpy(out, header, shape.header);
        for (size_t copied = 0; copied < data;) {
            while (offset >= packet->len) offset -= packet->len, packet = packet->next;
            size_t part = packet->len - offset < data - copied ? packet->len - offset : data - copied;
            memcpy(out + shape.header + copied, (const uint8_t *)packet->payload + offset, part);
            copied += part, offset += part;
        }
        left -= data;

        set32(tcp + 4, sequence);
        sequence += (uint32_t)data;
        tcp[13] = left ? flags & ~(fin | psh) : flags;
        if (flags & syn) set_syn_options(tcp + 20, shape.header - network - 20, own_mss, own_scale);
        // The pseudo-header: both addresses, the protocol, the length (RFC 9293 section 3.1, RFC 8200 section 8.1).
        uint8_t trailer[4] = {0, 6, (uint8_t)(length >> 8), (uint8_t)length};
        memset(tcp + 16, 0, 2);
        set_checksum(tcp + 16, (uint32_t)internet_checksum_sum(tcp, (int)length) + internet_checksum_sum(trailer, 4) +
                                   internet_checksum_sum(is_ip6 ? out + 8 : out + 12, is_ip6 ? 32 : 8));
        if (is_ip6) {
            set16(out + 4, (uint16_t)length);
        } else {
            set16(out + 2, (uint16_t)(network + length));
            set16(out + 6, 0x4000);  // Don't Fragment: the identification then means nothing (RFC 6864).
            memset(out + 10, 0, 2);
            set_checksum(out + 10, internet_checksum_sum(out, (int)network));
        }
        out += network + length;
    }
}
