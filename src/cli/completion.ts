import { Argument, type Command } from "commander"
import type { Bench } from "./bench.ts"
import { manual } from "./manual.ts"

export function addCompletionCommand(command: Command, bench: Bench, program: Command): void {
  command
    .description("Prints a script that completes commands and options in a shell.")
    .addArgument(new Argument("<shell>", "which shell").choices(["bash"]))
    .action(() => bench.stdout.write(bashScript(program)))
  manual(command, {
    examples: [["holdline completion bash > /etc/bash_completion.d/holdline", "for everybody on this host"]],
    reads: "nothing",
    writes: "nothing",
    exits: ["done", "usage"],
  })
}

/** A function that follows the words typed so far through the commands, and offers what may come next. */
function bashScript(program: Command): string {
  const shared = program.options.flatMap(({ long }) => long ?? [])
  const offered = below(program, []).map(({ path, command }) => {
    const words = [...command.commands.map((each) => each.name()), ...command.options.flatMap(({ long }) => long ?? [])]
    return { path: path.join(" "), words: [...new Set([...words, ...shared, "--help"])].join(" ") }
  })
  const paths = offered.filter(({ path }) => path !== "").map(({ path }) => `"${path}"`)
  return `_holdline() {
  local current=\${COMP_WORDS[COMP_CWORD]} path="" next words="" i
  for ((i = 1; i < COMP_CWORD; i++)); do
    next="\${path:+$path }\${COMP_WORDS[i]}"
    case "$next" in
      ${paths.join(" | ")}) path="$next" ;;
    esac
  done
  case "$path" in
${offered.map(({ path, words }) => `    "${path}") words="${words}" ;;`).join("\n")}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -o default -F _holdline holdline
`
}

interface Placed {
  readonly path: readonly string[]
  readonly command: Command
}

function below(command: Command, path: readonly string[]): Placed[] {
  return [{ path, command }, ...command.commands.flatMap((each) => below(each, [...path, each.name()]))]
}
