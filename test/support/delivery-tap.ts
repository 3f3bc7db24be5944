import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

/** What stands between services and the broker, changes nothing, and counts what is delivered. */
export interface DeliveryTap {
  /** The broker's URL, by way of the tap. */
  url: string;
  /** Deliveries so far, and how many of them had been delivered to somebody before. */
  deliveries: { total: number; redelivered: number };
  close(): Promise<void>;
}

const FRAME_HEADER_BYTES = 7;
const FRAME_END_BYTES = 1;
const METHOD_FRAME = 1;
/** Class basic, method deliver. */
const BASIC_DELIVER = (60 << 16) | 60;
const DELIVERY_TAG_BYTES = 8;

/**
 * Whether a frame delivers a message, and if so, whether for the first time.
 * Source: https://www.rabbitmq.com/resources/specs/amqp0-9-1.pdf, 4.2.3 (frames) and 1.8.3.9 (basic.deliver)
 */
function readDelivery(type: number, payload: Buffer): 'first' | 'again' | null {
  if (type !== METHOD_FRAME || payload.readUInt32BE(0) !== BASIC_DELIVER) return null;
  const tagLength = payload.readUInt8(4);
  return payload.readUInt8(5 + tagLength + DELIVERY_TAG_BYTES) === 0 ? 'first' : 'again';
}

/** Starts a tap in front of the broker at this URL. */
export async function startDeliveryTap(brokerUrl: string): Promise<DeliveryTap> {
  const broker = new URL(brokerUrl);
  const deliveries = { total: 0, redelivered: 0 };
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const upstream = connect(Number(broker.port || 5672), broker.hostname);
    for (const [socket, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => {
        sockets.delete(socket);
        other.destroy();
      });
    }
    client.pipe(upstream);
    let rest = Buffer.alloc(0);
    upstream.on('data', (chunk) => {
      rest = Buffer.concat([rest, chunk]);
      while (rest.length >= FRAME_HEADER_BYTES) {
        const end = FRAME_HEADER_BYTES + rest.readUInt32BE(3);
        if (rest.length < end + FRAME_END_BYTES) break;
        const delivery = readDelivery(rest.readUInt8(0), rest.subarray(FRAME_HEADER_BYTES, end));
        if (delivery !== null) deliveries.total++;
        if (delivery === 'again') deliveries.redelivered++;
        rest = rest.subarray(end + FRAME_END_BYTES);
      }
      client.write(chunk);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = new URL(brokerUrl);
  url.host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    url: url.href,
    deliveries,
    close: async () => {
      const closed = new Promise((resolve) => server.close(resolve));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}
