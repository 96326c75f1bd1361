"""The text of questions and answers, and which answers a question accepts."""

from pyglue.api.messages import MessageKind
from pyglue.api.questions import AnswerParams, AskParams, QuestionView
from pyglue.errors import ErrorCode, HiveError
from pyglue.store.messages import NewMessage


def question_message(asker: str, number: int, params: AskParams) -> NewMessage:
    """Return the message that asks an agent question ``number``."""
    options = "".join(f"\n- {option}" for option in params.options)
    body = (
        f"Question {number}: {params.question}{options}\n\n"
        f"Answer with the tool answer(question={number}, …)."
    )
    return NewMessage(
        sender=asker, recipient=params.to, body=body, kind=MessageKind.QUESTION
    )


def answer_message(
    question: QuestionView, by: str, text: str, hop: int = 0
) -> NewMessage:
    """Return the message that informs the asker how a question ended."""
    return NewMessage(
        sender=by,
        recipient=question.asker,
        body=f"Answer to question {question.id} ({question.question[:200]}):\n{text}",
        kind=MessageKind.ANSWER,
        hop=hop,
    )


def check_open(question: QuestionView) -> None:
    """Refuse a question that has ended.

    Raises:
        HiveError: ``conflict``.
    """
    if question.ended is not None or question.answered_at is not None:
        how = "closed" if question.ended is None else question.ended.value
        raise HiveError(ErrorCode.CONFLICT, f"Question {question.id} is already {how}.")


def answer_text(question: QuestionView, params: AnswerParams) -> str:
    """Return an answer as text: the chosen options, then the free text.

    Raises:
        HiveError: ``bad_request`` if the question does not accept it.
    """
    unknown = [choice for choice in params.choices if choice not in question.options]
    if unknown:
        raise HiveError(
            ErrorCode.BAD_REQUEST, f"{unknown[0][:100]!a} is not one of the options."
        )
    if len(params.choices) > 1 and not question.multi:
        raise HiveError(ErrorCode.BAD_REQUEST, "Choose only one option.")
    text = "\n".join([*params.choices, *([params.text] if params.text else [])])
    if not text:
        raise HiveError(ErrorCode.BAD_REQUEST, "Choose an option or write an answer.")
    return text
