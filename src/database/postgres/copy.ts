import { type CopyStreamQuery, type CopyToStreamQuery, from, to } from "pg-copy-streams"

/** A COPY … TO STDOUT to be handed to a client of `pg`; its bytes come as they are asked for. */
export function copyTo(text: string): CopyToStreamQuery {
  return to(text, { highWaterMark: copyBufferBytes })
}

/** A COPY … FROM STDIN to be handed to a client of `pg`; it takes bytes as fast as the server does. */
export function copyFrom(text: string): CopyStreamQuery {
  return from(text, { highWaterMark: copyBufferBytes })
}

/** What waits between the socket and who reads it: enough to never starve, too little to be felt. */
const copyBufferBytes = 256 * 1024
