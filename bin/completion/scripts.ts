// Completion scripts for bash, zsh and fish from the command tree. Pure. Verbs, flags and choices are in the script;
// names of the person's own objects are asked for when they are needed.
import type { FlagTree, Values, VerbTree } from './tree.ts'

/** The script for one shell. */
export function completionScript(shell: 'bash' | 'zsh' | 'fish', verbs: readonly VerbTree[]): string {
  if (shell === 'fish') return fishScript(verbs)
  return shell === 'bash' ? bashScript(verbs) : zshScript(verbs)
}

const ASK = '$(timeout 2 atrium complete'

function bashScript(verbs: readonly VerbTree[]): string {
  return `# bash completion for atrium: source <(atrium completion bash)
_atrium_folders() {
  local i
  for ((i = 1; i < \${#COMP_WORDS[@]}; i++)); do
    [[ \${COMP_WORDS[i]} == --config ]] && printf '%s\\n' "\${COMP_WORDS[i + 1]}"
  done
}
_atrium() {
  local word=\${COMP_WORDS[COMP_CWORD]} before=\${COMP_WORDS[COMP_CWORD - 1]} verb=\${COMP_WORDS[1]}
  COMPREPLY=()
  if ((COMP_CWORD == 1)); then
    COMPREPLY=($(compgen -W '${verbs.map(({ name }) => name).join(' ')}' -- "$word"))
    return
  fi
  case $verb in
${verbs.map(bashVerb).join('\n')}
  esac
}
complete -F _atrium atrium`
}

function bashVerb(verb: VerbTree): string {
  const flags = verb.flags.filter(({ values }) => values.kind !== 'none' && values.kind !== 'any')
  const cases = flags.map((flag) => `        ${flag.spellings.join(' | ')}) ${bashValues(flag.values)}; return ;;`)
  const words = verb.flags.flatMap(({ spellings }) => spellings).join(' ')
  const operands = verb.operands.kind === 'choices' ? `${verb.operands.choices.join(' ')} ` : ''
  return `    ${verb.name})
      case $before in
${cases.join('\n')}
      esac
      COMPREPLY=($(compgen -W '${operands}${words}' -- "$word")) ;;`
}

function bashValues(values: Values): string {
  switch (values.kind) {
    case 'folder':
      return 'COMPREPLY=($(compgen -d -- "$word"))'
    case 'file':
      return 'COMPREPLY=($(compgen -f -- "$word"))'
    case 'choices':
      return `COMPREPLY=($(compgen -W '${values.choices.join(' ')}' -- "$word"))`
    case 'names':
      return `COMPREPLY=($(compgen -W "${ASK} ${values.of} $(_atrium_folders) 2>/dev/null)" -- "$word"))`
    default:
      return ':'
  }
}

function zshScript(verbs: readonly VerbTree[]): string {
  return `#compdef atrium
# zsh completion for atrium: atrium completion zsh > ~/.zfunc/_atrium, a folder of your fpath
_atrium_names() {
  local -a folders names
  local i
  for ((i = 1; i < \${#words}; i++)); do
    [[ \${words[i]} == --config ]] && folders+=(\${words[i + 1]})
  done
  names=(\${(f)"${ASK} $1 $folders 2>/dev/null)"})
  compadd -a names
}
_atrium() {
  local -a verbs
  verbs=(
${verbs.map(({ name, description }) => `    ${quote(`${name}:${description}`)}`).join('\n')}
  )
  if ((CURRENT == 2)); then
    _describe 'verb' verbs
    return
  fi
  local verb=\${words[2]}
  words=("\${words[@]:1}")
  ((CURRENT--))
  case $verb in
${verbs.map(zshVerb).join('\n')}
  esac
}
if [[ \${funcstack[1]} == _atrium ]]; then _atrium "$@"; else compdef _atrium atrium; fi`
}

function zshVerb(verb: VerbTree): string {
  const flags = verb.flags.map((flag) => `        ${zshFlag(flag)}`)
  const operands = verb.operands.kind === 'none' ? [] : [`        ${quote(`1:what:${zshValues(verb.operands)}`)}`]
  return `    ${verb.name})
      _arguments -s \\
${[...flags, ...operands].join(' \\\n')} ;;`
}

function zshFlag(flag: FlagTree): string {
  const description = flag.description.replace(/[[\]:]/g, '\\$&')
  const values = flag.values.kind === 'none' ? '' : `:value:${zshValues(flag.values)}`
  return flag.spellings.map((spelling) => quote(`*${spelling}[${description}]${values}`)).join(' ')
}

function zshValues(values: Values): string {
  switch (values.kind) {
    case 'folder':
      return '_files -/'
    case 'file':
      return '_files'
    case 'choices':
      return `(${values.choices.join(' ')})`
    case 'names':
      return `_atrium_names ${values.of}`
    default:
      return ' '
  }
}

function fishScript(verbs: readonly VerbTree[]): string {
  return `# fish completion for atrium: atrium completion fish > ~/.config/fish/completions/atrium.fish
function __atrium_folders
    set -l words (commandline -opc)
    for i in (seq (count $words))
        test $words[$i] = --config; and echo $words[(math $i + 1)]
    end
end
complete -c atrium -f
${verbs.map(({ name, description }) => `complete -c atrium -n __fish_use_subcommand -a ${name} -d ${fishQuote(description)}`).join('\n')}
${verbs.flatMap((verb) => [...verb.flags.map((flag) => fishFlag(verb, flag)), ...fishOperands(verb)]).join('\n')}`
}

function fishFlag(verb: VerbTree, flag: FlagTree): string {
  const spellings = flag.spellings.map((each) =>
    each.startsWith('--') ? `-l ${each.slice(2)}` : `-s ${each.slice(1)}`,
  )
  const start = `complete -c atrium -n '__fish_seen_subcommand_from ${verb.name}' ${spellings.join(' ')}`
  return [start, fishValues(flag.values), `-d ${fishQuote(flag.description)}`].filter(Boolean).join(' ')
}

function fishOperands(verb: VerbTree): string[] {
  if (verb.operands.kind !== 'choices') return []
  return [
    `complete -c atrium -n '__fish_seen_subcommand_from ${verb.name}' -a ${fishQuote(verb.operands.choices.join(' '))}`,
  ]
}

function fishValues(values: Values): string {
  switch (values.kind) {
    case 'none':
      return ''
    case 'folder':
      return "-x -a '(__fish_complete_directories)'"
    case 'file':
      return '-r -F'
    case 'choices':
      return `-x -a ${fishQuote(values.choices.join(' '))}`
    case 'names':
      return `-x -a '(timeout 2 atrium complete ${values.of} (__atrium_folders) 2>/dev/null)'`
    default:
      return '-x'
  }
}

function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`
}

function fishQuote(text: string): string {
  return `'${text.replace(/['\\]/g, '\\$&')}'`
}
