"""List words that say nothing about a product, and words that judge it without saying what is good or bad about it.

English. The list is our own; a word of another language stands in the table like any other.
"""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


STOP_WORDS = _words("""
a about above after again all almost along already also although always am an and another any anyone anything apart are
aren't around as at back be because been before being below between bit both but by came can can't cannot come
comes coming could couldn't did didn't do does doesn't doing don't done down each either else enough even ever
every everyone everything extremely few for from further get gets getting give go goes going gone got had hadn't
has hasn't have haven't having he her here hers herself him his how however i i'd i'll i'm i've if in instead into
is isn't it it'd it'll it's its itself just keep kept kind know let like little lot lots made make makes making
many may maybe me might mine more most much must my myself neither never no nobody none nor not nothing now of off
often on once one ones only or other others otherwise our ours out over own per perhaps put quite rather really
same saw say says see seem seemed seems seen several she should shouldn't since so some someone something sort
still such super take taken takes taking than that that's the their them themselves then there there's these they
they're thing things think this those though three through thus tiny to too took toward towards tried try trying
two under until up upon us use used using very was wasn't way we we're well went were weren't what what's whatever
when where which while who whole whom whose why will with within without won't would wouldn't yes yet you you'd
you'll you're you've your yours yourself
""")

NEGATIONS = _words("""
aren't can't cannot couldn't didn't doesn't don't hadn't hasn't haven't isn't never no not nothing shouldn't wasn't
weren't without won't wouldn't
""")
FIRST = NEGATIONS | {"too"}  # may begin a phrase: "not soft", "too big"
LAST = _words("apart back down off out up")  # may end a phrase: "fell apart", "sent back"
IN_PHRASES = NEGATIONS | _words("a an and as at for in is it of on the to too very was way")  # "out of shape"

# "disappointed" and "returned" say that a customer is unhappy, and not with what
VERDICTS = _words("""
absolutely amazing arrived awesome awful bad beautiful best better bought bummed bummer buy buying completely
compliment compliments decided definitely deserves disappoint disappointed disappointing disappointment dislike
disliked excellent excited expect expectation expectations expected expecting fabulous fantastic fault favorite
feel feeling feels felt fine found glad good gorgeous great happier happy hate hated hesitate hope hoped hopeful
hopes hoping horrible idea immediately keep keeper keeping least liked likes look looked looking looks lovable love
loved lovely loves loving nice ok okay order ordered ordering perfect perfectly piece please pleased pretty problem
product purchase purchased purchasing received recommend recommended refund regret reordered return returned
returning returns review reviewer reviewers reviews sad sadly saw send sending sent sorry star stars sure terrible
thought thrilled tried unfortunately unhappy upset wait waited wanted wanting wants wear wearing wish wished
wonderful work worked working works worn worse worst wow wrong
""")
