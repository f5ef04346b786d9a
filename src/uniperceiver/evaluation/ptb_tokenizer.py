"""Penn Treebank tokenisation of captions as the COCO caption evaluation does it, without Java.

pycocoevalcap runs Stanford's PTBTokenizer 3.4.1 with ``-preserveLines -lowerCase`` over all captions of a data set, one
a line, and then drops punctuation. The rules below were written from observing what that program gives. As in every
scanner of its kind the longest match wins, text that only has to *follow* a token counts towards the length, and of
equally long matches the earlier rule wins.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

# Parentheses come out as -lrb- and -rrb-; the official list has them in capitals, so they stay. So they do here.
PUNCTUATION = frozenset({"''", "'", "``", "`", ".", "?", "!", ",", ":", "-", "--", "...", ";"})

# --- classes of characters and words ----------------------------------------------------------------------------------

# Letters and the marks that combine with them; in scripts from Devanagari to Thai every vowel sign.
_LETTER = (
    r"(?:[^\W\d_²³¹¼-¾\u2070\u2074-\u2089\u2150-\u218f\u2460-\u24ff\u2776-\u2793]|[\u00ad\u02c2-\u02c5\u02d2-\u036f\u0483-\u0487\u0591-\u05bd\u0610-\u061a\u064b-\u065e\u0670"
    r"\u06d6-\u06ed\u0900-\u0903\u093a-\u094f\u0951-\u0955\u0981-\u0983\u09bc-\u09cd\u0a01-\u0a4d\u0abc-\u0acd"
    r"\u0b3c-\u0b4d\u0bbe-\u0bcd\u0c3e-\u0c56\u0cbe-\u0ccd\u0d3e-\u0d4d\u0e31-\u0e3a\u0e47-\u0e4e])"
)
_ALNUM = rf"(?:{_LETTER}|\d)"
_APOSTROPHE = r"['\u2019]"
_SPACE = r"[ \t\n\u00a0]"
_WORD = rf"{_LETTER}{_ALNUM}*(?:[.!?]{_LETTER}{_ALNUM}*)*"
_PIECE = rf"(?:[dDoOlL]{_APOSTROPHE}{_ALNUM})?{_ALNUM}+"
_THING = rf"{_PIECE}(?:[-_\u058a\u2010\u2011]{_PIECE})*"
_NUMBER = r"(?:\d*(?:[.:,]\d+)+|\d+)"
_SLASHED = r"[A-Za-z0-9]+(?:-[A-Za-z]+){0,2}"
_ACRONYM = r"[A-Za-z](?:\.[A-Za-z])+"
_NOT_IN_URL_END = r"[^ \t\n\"<>|.!?(){},-]"
_URL_TAIL = rf"[^ \t\n\"<>|()]+{_NOT_IN_URL_END}"
_SYMBOLS = (
    r"[$-'*-,:->\\^`|~\u00a1\u00a5-\u00a9\u00ac\u00ae-\u00b4\u00b6-\u00b9\u00bf\u00d7\u00f7\u037e\u0387\u0589\u05be\u05c0"
    r"\u05c3\u05c6\u05f3-\u05f4\u0600-\u0603\u0606-\u060c\u0614\u061b\u061e-\u061f\u066a\u066d\u06d4\u0700-\u070d"
    r"\u07f6-\u07f8\u0964-\u0965\u0e3f\u0e4f\u1fbd\u2016-\u2017\u201a\u201e-\u2023\u2030-\u2038\u203b\u203e-\u2042\u2044"
    r"\u2070\u2074-\u207e\u2080-\u208e\u20a4\u2100-\u2101\u2103-\u2106\u2108-\u2109\u2114\u2116-\u2118\u211e-\u2123\u2125"
    r"\u2127\u2129\u212e\u213a-\u213b\u2140-\u2144\u214a-\u214d\u214f\u2155-\u215e\u2190-\u2bff\u3001-\u3002\u3012\u30fb"
    r"\uff01-\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff65\uffe0-\uffe1\uffe5-\uffe6]"
)

# --- abbreviations: where a full stop belongs to the word -------------------------------------------------------------

# Before a capital these are taken for the end of a sentence, which then gets a full stop of its own.
_SENTENCE_ENDING = (
    "(?i:jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec|mon|tues?|wed|thu(?:rs)?|fri|ala|ariz|calif|colo|conn|ct|dak|fla|ga"
    "|ind|kans?|ky|md|mich|minn|mont|mo|neb|nev|okla|penn|tenn|va|vt|wisc?|wyo|inc|cos?|corp|ptys?|ltd|plc|rt|bancorp"
    r"|bhd|assn|univ|intl|sys|tel|est|ext|sq|jr|sr|bros|(?:ed|ph)\.d|blvd|rd|esq|bldg|etc|al|seq)"
    "|A(?i:z|rk)|D(?i:el)|I(?i:ll)|L(?i:a)|M(?i:ass|iss)|O(?i:re)|P(?i:a)|T(?i:ex)|W(?i:ash)|[Pp]tes?"
)
_NEVER_ENDING = (
    "(?i:dept|invt|elec|natl|mr|mrs|ms|drs?|profs?|sens?|reps?|attys?|lt|col|gen|messrs|govs?|adm|rev|maj|sgt|cpl|pvt|capt"
    "|ste?|ave|pres|lieut|hon|brig|co?mdr|pfc|spc|supts?|det|mt|ft|adj|adv|asst|assoc|ens|insp|mlle|mme|msgr|sfc|vs|alex"
    r"|wm|jos|cie|a\.k\.a|cf|treas)|[Mm][tf]g"
)
_BEFORE_NUMBERS = "(?i:nos?|figs?|pp|op|ca|arts?)"
# After an acronym these words begin a new sentence.
_SENTENCE_STARTS = (
    r"(?:A|A(?i:bout|ccording|dditionally|fter|n|s|t)|B(?i:ut)|E(?i:arlier)|H(?i:e|er|ere|owever)|I(?i:f|n|t)|L(?i:ast)"
    r"|M(?i:any|ore|r\.|s\.)|N(?i:ow)|O(?i:nce|ne|ther|ur)|S(?i:he|ince|o|ome|uch)|T(?i:hat|he|heir|hen|here|hese|hey|his)"
    rf"|W(?i:e|hat|hen|hile)|Y(?i:et|ou)){_SPACE}"
)

# --- rules: a token is group 1; what follows it in the expression must follow it in the text --------------------------

_QUOTES = str.maketrans({"“": "``", "«": "``", "”": "''", "»": "''", "‘": "`", "‹": "`", "‛": "`", "’": "'", "›": "'"})
_SHOWN_AS = {
    '"': "''", "(": "-lrb-", ")": "-rrb-", "[": "-lsb-", "]": "-rsb-", "{": "-lcb-", "}": "-rcb-", "¢": "cents",
    "£": "#", "€": "$", "₠": "$", "¤": "$", "½": "1/2", "¼": "1/4", "¾": "3/4", "⅓": "1/3", "⅔": "2/3", "&amp;": "&",
    "&lt;": "<", "&gt;": ">",
}  # fmt: skip


def _plain(token: str) -> str:
    return token.replace("\u00ad", "") or "-"


def _straight(token: str) -> str:
    return token.replace("’", "'")


def _joined(token: str) -> str:
    """Spaces inside a token become no-break spaces, which the split into words keeps."""
    return re.sub("[() \t]", lambda found: _SHOWN_AS.get(found[0], "\u00a0"), token)


_RULES: list[tuple[re.Pattern[str], Callable[[str], str]]] = [
    (re.compile(pattern), rewrite)
    for pattern, rewrite in [
        (r"((?i:can))(?i:not)", _plain),
        (r"((?i:gon|wan))(?i:na)|((?i:got))(?i:ta)|((?i:lem|gim))(?i:me)", _plain),
        (r"(<(?:[!?][A-Za-z-][^>\n]*|/?[A-Za-z][A-Za-z0-9_:.-]*(?: [^<>\n]*)?/?)>)", _joined),
        (r"(--+|[\u2013-\u2015])", lambda token: "--"),
        (r"(>>|<<)", _plain),
        (r"(&(?:amp|lt|gt);)", _SHOWN_AS.__getitem__),
        (rf"({_WORD}){_APOSTROPHE}(?i:[msd]|re|ve|ll)(?![A-Za-z])", _plain),
        (rf"([A-Za-z]*[A-MO-Za-mo-z])[nN]{_APOSTROPHE}[tT]", _plain),
        (rf"({_WORD})", _plain),
        (
            rf"({_APOSTROPHE}[nN]{_APOSTROPHE}?|[A-HJ-XZn]{_APOSTROPHE}{_LETTER}{{2}}{_LETTER}*|[lLdDjJ]{_APOSTROPHE}"
            rf"|(?i:dunkin|somethin|ol){_APOSTROPHE}|{_APOSTROPHE}(?i:em|till?|cause|[2-9]0s)"
            rf"|{_LETTER}+[aeiouyAEIOUY]{_APOSTROPHE}[aeiouA-Z]{_LETTER}*"
            rf"|(?:cont{_APOSTROPHE}d\.?|nor{_APOSTROPHE}easter|c{_APOSTROPHE}mon|e{_APOSTROPHE}er"
            rf"|s{_APOSTROPHE}mores|ev{_APOSTROPHE}ry|li{_APOSTROPHE}l|nat{_APOSTROPHE}l))",
            _plain,
        ),
        (r"('(?i:t))(?i:is|was)", _plain),
        (rf"([yY]{_APOSTROPHE}){_LETTER}", _plain),
        (rf"(https?://{_URL_TAIL})", _plain),
        (
            rf"((?:www\.(?:[^ \t\n\"<>|.!?(){{}},]+\.)+[a-zA-Z]{{2,4}}"
            rf"|(?:[^ \t\n\"`'<>|.!?(){{}},_$-]+\.)+(?:com|net|org|edu))(?:/{_URL_TAIL})?)",
            _plain,
        ),
        (r"([a-zA-Z0-9][^ \t\n\"<>|()\u00a0]*@(?:[^ \t\n\"<>|().\u00a0]+\.)*[^ \t\n\"<>|().\u00a0]+)", _plain),
        (rf"(@[a-zA-Z_][a-zA-Z0-9_]*|#{_LETTER}+|##|@@|@)", _plain),
        (rf"({_APOSTROPHE}(?i:[msd]|re|ve|ll))(?:[^A-Za-z]|\Z)", _straight),
        (rf"((?i:n){_APOSTROPHE}(?i:t))(?:[^A-Za-z]|\Z)", _straight),
        (r"(\d{1,2}[-/]\d{1,2}[-/]\d{2,4})", _plain),
        (rf"([-+]?{_NUMBER})", _plain),
        (r"([\u207a\u207b\u208a\u208b]?(?:[\u00b2\u00b3\u00b9\u2070\u2074-\u2079]+|[\u2080-\u2089]+))", _plain),
        (r"((?:\d{1,4}[- \u00a0])?\d{1,4}[/\u2044]\d{1,4})", _joined),
        (r"([½¼¾⅓⅔¢£€₠¤])", _SHOWN_AS.__getitem__),
        (rf"({_SLASHED}(?:/{_SLASHED}){{1,2}})", _plain),
        (r"([A-Z]*\$|#)", _plain),
        (rf"({_THING})", _plain),
        (rf"([A-Za-z0-9][A-Za-z0-9.,]*(?:-(?:{_ACRONYM}\.|[A-Za-z0-9]+))+)", _plain),
        (r"([A-Z]+(?:(?:[+]|&(?:amp;)?)[A-Z]+)+|[cC]\+\+|[cCfF]#)", lambda token: token.replace("&amp;", "&")),
        (
            rf"((?:{_ALNUM}+\.)+(?:jpe?g|png|gif|bmp|html?|pdf|txt|docx?|mov|mp3|wav|exe|zip|xml))(?:[ \n.?!,]|\Z)",
            _plain,
        ),
        (rf"((?:{_SENTENCE_ENDING}))\.{_SPACE}(?:{_SPACE}|[A-ZÀ-ÖØ-Þ])", lambda token: f"{token}."),
        (rf"((?:{_SENTENCE_ENDING})\.)(?s:..)", _plain),
        (rf"((?:{_SENTENCE_ENDING}))\.", lambda token: f"{token}."),
        (rf"((?:{_NEVER_ENDING})\.)", _plain),
        (rf"({_BEFORE_NUMBERS}\.){_SPACE}?\d", _plain),
        (rf"({_ACRONYM})\.{_SPACE}{_SENTENCE_STARTS}", lambda token: f"{token}."),
        (rf"([A-Za-z])\.{_SPACE}{_SENTENCE_STARTS}", _plain),
        (rf"((?:{_ACRONYM}|[A-Za-z])\.)", _plain),
        (rf"((?:{_WORD}|{_THING})\.)[,;:]", _plain),
        (
            r"((?:\([0-9]{2,3}\)[ \u00a0]?|\+{0,2}(?:[0-9]{2,4}[- \u00a0])?[0-9]{2,4}[- \u00a0])"
            r"[0-9]{3,4}[- \u00a0]?[0-9]{3,5}|(?:\+{0,2}[0-9]{2,4}\.)?[0-9]{2,4}\.[0-9]{3,4}\.[0-9]{3,5})",
            _joined,
        ),
        (r'(")[A-Za-z0-9$]', lambda token: "``"),
        (r"(')[A-Za-z][^ \t\n\u00a0]", lambda token: "`"),
        (rf"({_APOSTROPHE}\d\d){_SPACE}", _plain),
        (r"(``|''|\.{3,5}|\.[ \u00a0]\.[ \u00a0]\.)", lambda token: token if token[0] != "." else "..."),
        (r"(\u2026)", lambda token: "..."),
        (r"([<>]?[:;=][-o*']?[()DPdpO\\{@|\[\]])[^A-Za-z0-9]", _joined),
        (r"([-^x=~<>']_[-^x=~<>']|\([-^x=~<>'][_.]?[-^x=~<>']\))", _joined),
        (r"([“”‘’«»‹›‛]+)", lambda token: token.translate(_QUOTES)),
        (r"([?!]+|\*+|_+)", _plain),
        (r'(["()\[\]{}])', _SHOWN_AS.__getitem__),
        (rf"([.'/-]|{_SYMBOLS})", _plain),
    ]
]
_PLAIN_WORD = re.compile(r"[ \n]*([A-Za-z]+)(?= )")
_CONTRACTED = frozenset({"cannot", "gonna", "gotta", "lemme", "gimme", "wanna"})


def tokenize_lines(sentences: Sequence[str]) -> list[list[str]]:
    """The words of every sentence, in lower case and without punctuation, in the context of the other sentences.

    The official tokeniser reads all captions as one text, so the word after a line break decides whether "in the U.S."
    or "etc." at the end of the line before it ends a sentence: to get the official tokens, give all captions at once
    and in the official order. Characters it has no rule for, such as emoji, vanish.
    """
    text = "\n".join(re.sub(r"[\n\r\v\f\u0085\u2028\u2029]", " ", sentence) for sentence in sentences)
    lines: list[list[str]] = [[]]
    position = 0
    while position < len(text):
        plain = _PLAIN_WORD.match(text, position)
        if plain is not None and plain[1].lower() not in _CONTRACTED:
            tokens, position = plain[0].count("\n") * ["\n"] + [plain[1]], plain.end()
        else:
            token, position = _next_token(text, position)
            tokens = token.split(" ")
        for token in tokens:
            if token == "\n":
                lines.append([])
            elif token:
                lines[-1].append(token.lower())
    return [[token for token in line if token not in PUNCTUATION] for line in lines]


def _next_token(text: str, position: int) -> tuple[str, int]:
    """The token that begins at ``position``, empty when there is none, and where to go on."""
    if text[position] in " \n":
        return text[position].strip(" "), position + 1
    best, after, reach = "", position + 1, position
    for pattern, rewrite in _RULES:
        found = pattern.match(text, position)
        if found is not None and found.end() > reach:
            group = found.lastindex or 1
            best, after, reach = rewrite(found[group]), found.end(group), found.end()
    return best, after
