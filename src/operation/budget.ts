/** Bytes that may be in memory at once. Who asks first is served first; more than all of it is given to whoever is alone. */
export class ByteBudget {
  readonly #max: number
  #used = 0
  readonly #waiting: { readonly bytes: number; begin(): void }[] = []

  constructor(max: number) {
    this.#max = max
  }

  async within<T>(bytes: number, work: () => Promise<T>): Promise<T> {
    if (this.#waiting.length > 0 || !this.#fits(bytes)) await new Promise<void>((begin) => this.#waiting.push({ bytes, begin }))
    else this.#used += bytes
    try {
      return await work()
    } finally {
      this.#used -= bytes
      this.#serve()
    }
  }

  #fits(bytes: number): boolean {
    return this.#used === 0 || this.#used + bytes <= this.#max
  }

  #serve(): void {
    for (let [next] = this.#waiting; next !== undefined && this.#fits(next.bytes); [next] = this.#waiting) {
      this.#waiting.shift()
      this.#used += next.bytes
      next.begin()
    }
  }
}
