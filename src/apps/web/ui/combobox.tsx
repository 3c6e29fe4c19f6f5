import { type KeyboardEvent, type ReactNode, useId, useMemo, useRef, useState } from "react";
import { Icon, type IconName } from "./icons.tsx";

export interface Choice {
  readonly id: string;
  readonly name: string;
  readonly kind: string;
  readonly note: string;
  readonly icon: IconName;
}

interface ComboboxProps {
  readonly id: string;
  readonly choices: readonly Choice[];
  readonly text: string;
  readonly invalid: boolean;
  readonly describedBy: string;
  readonly placeholder: string;
  readonly onText: (text: string) => void;
  readonly onChoose: (choice: Choice) => void;
}

/** More than this nobody reads; another letter makes it fewer. */
const MAX_SHOWN = 60;

/** A text field with suggestions (ARIA 1.2 combobox with a list): arrows choose, Enter takes, Escape closes. */
export function Combobox(props: ComboboxProps): ReactNode {
  const { id, choices, text, onText, onChoose } = props;
  const [open, setOpen] = useState(false);
  const [active, setActive] = useState(0);
  const listId = useId();
  const list = useRef<HTMLUListElement>(null);
  const found = useMemo(() => matching(choices, text), [choices, text]);
  const shown = found.slice(0, MAX_SHOWN);
  const choose = (choice: Choice | undefined): void => {
    if (choice === undefined) return;
    onChoose(choice);
    setOpen(false);
  };
  const move = (to: number): void => {
    const next = Math.max(0, Math.min(shown.length - 1, to));
    setActive(next);
    list.current?.children[next]?.scrollIntoView({ block: "nearest" });
  };
  const onKey = (event: KeyboardEvent): void => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if (!open) setOpen(true);
      else move(active + (event.key === "ArrowDown" ? 1 : -1));
    } else if (event.key === "Enter" && open && shown.length > 0) {
      event.preventDefault();
      choose(shown[active]);
    } else if (event.key === "Escape" && open) {
      event.preventDefault();
      setOpen(false);
    }
  };
  const showing = open && shown.length > 0;
  return (
    <div className="combobox">
      <input
        id={id}
        type="text"
        role="combobox"
        aria-expanded={showing}
        aria-controls={listId}
        aria-autocomplete="list"
        aria-activedescendant={showing ? `${listId}-${active}` : undefined}
        aria-invalid={props.invalid}
        aria-describedby={props.describedBy}
        placeholder={props.placeholder}
        value={text}
        autoComplete="off"
        spellCheck={false}
        onChange={(event) => {
          onText(event.target.value);
          setActive(0);
          setOpen(true);
        }}
        onFocus={() => setOpen(true)}
        onBlur={() => setOpen(false)}
        onKeyDown={onKey}
      />
      <ul id={listId} role="listbox" aria-label="Devices" ref={list} hidden={!showing}>
        {shown.map((choice, i) => (
          // The field keeps the focus and the keyboard: the list is for the mouse.
          <li
            key={choice.id}
            id={`${listId}-${i}`}
            role="option"
            aria-selected={i === active}
            onMouseDown={(event) => {
              event.preventDefault();
              choose(choice);
            }}
            onMouseEnter={() => setActive(i)}
          >
            <Icon name={choice.icon} />
            <span className="choice-name">{choice.name}</span>
            <span className="choice-note">
              {choice.kind}
              {choice.note === "" ? "" : ` · ${choice.note}`}
            </span>
          </li>
        ))}
        {found.length > MAX_SHOWN && (
          <li role="presentation" className="choice-more">
            {found.length - MAX_SHOWN} more: type on
          </li>
        )}
      </ul>
    </div>
  );
}

/** Every word has to be found, in the name, the kind, the note or the id. */
function matching(choices: readonly Choice[], text: string): Choice[] {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  return choices.filter((c) => {
    const all = `${c.name} ${c.kind} ${c.note} ${c.id}`.toLowerCase();
    return words.every((word) => all.includes(word));
  });
}
