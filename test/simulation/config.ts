import type { Found, Source } from "../../src/source/source.ts"
import type { Tree } from "../fault/closure.ts"
import type { Dice } from "../world/dice.ts"
import { removeSourceFile, type SourceFile, writeSourceFile } from "./files.ts"
import { Past } from "./truth.ts"

const filesMax = 20

/** A switch's configuration: a small whole whose files come, change and go. */
export class Configuration implements Source {
  readonly description = "simulated configuration"
  readonly past = new Past<Tree>()
  readonly #root: string
  readonly #dice: Dice
  readonly #files = new Map<string, SourceFile>()
  #made = 0

  constructor(root: string, dice: Dice) {
    this.#root = root
    this.#dice = dice
    for (let file = 0; file < filesMax / 2; file++) this.#write(`vars-${String(this.#made++)}.xml`, new Date(0))
    this.#changed()
  }

  /** An hour in which somebody may have changed something. */
  live(hour: Date): void {
    const dice = this.#dice
    if (!dice.chance(0.3)) return
    const [any] = [...this.#files.keys()].slice(dice.between(0, this.#files.size - 1))
    const kind = dice.between(0, 3)
    if (any !== undefined && kind === 0 && this.#files.size > filesMax / 4) {
      removeSourceFile(this.#root, any)
      this.#files.delete(any)
    } else if (kind === 1 && this.#files.size < filesMax) this.#write(`vars-${String(this.#made++)}.xml`, hour)
    else if (any !== undefined) this.#write(any, hour)
    this.#changed()
  }

  #write(path: string, changed: Date): void {
    const text = `<vars changed="${this.#dice.uuid()}"/>\n`.repeat(this.#dice.between(1, 60))
    const options = { stableId: "platform", day: "", path, changed, compressible: true }
    this.#files.set(path, writeSourceFile(this.#root, Buffer.from(text), options))
  }

  #changed(): void {
    this.past.change(new Map([...this.#files].map(([path, { looks }]) => [path, looks])))
  }

  async *capture({ now }: { readonly now: Date }): AsyncGenerator<Found> {
    this.past.show(now.getTime())
    for (const { item } of this.#files.values()) yield { item }
  }

  promise(now: number): void {
    this.past.promise(now)
  }
}
