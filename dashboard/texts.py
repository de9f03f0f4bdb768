"""What the pages say, in Korean and in English. A key is a name of templates, of scripts or of `Refused`."""

from collections.abc import Mapping
from typing import Literal, get_args

from dashboard.office_texts import OFFICE

Language = Literal["ko", "en"]
LANGUAGES: tuple[Language, ...] = get_args(Language)

TEXTS: Mapping[str, tuple[str, str]] = {
    # Frame
    "product": ("보드라인", "Boardline"),
    "live": ("실시간", "Live"),
    "account": ("내 계정", "My account"),
    "log_in": ("로그인", "Log in"),
    "log_out": ("로그아웃", "Log out"),
    "language": ("English", "한국어"),
    "theme": ("화면 밝기", "Light or dark"),
    "sound": ("소리", "Sound"),
    "skip": ("본문으로", "To the content"),
    # Login and account
    "username": ("사용자 이름", "User name"),
    "password": ("비밀번호", "Password"),
    "login_title": ("로그인", "Log in"),
    "login_refused": (
        "이름 또는 비밀번호가 다릅니다. 다섯 번 실패하면 5분 동안 잠깁니다.",
        "Name or password is wrong. After five failures an account is locked for five minutes.",
    ),
    "password_title": ("비밀번호 변경", "Change password"),
    "password_must": (
        "처음 받은 비밀번호입니다. 계속하려면 새 비밀번호를 정하십시오.",
        "This password was made up for you. Choose one of your own to go on.",
    ),
    "password_old": ("현재 비밀번호", "Present password"),
    "password_new": ("새 비밀번호", "New password"),
    "password_again": ("새 비밀번호 확인", "New password again"),
    "password_rule": ("10자 이상", "10 characters or more"),
    "password_save": ("변경", "Change"),
    "password_wrong": ("현재 비밀번호가 다릅니다.", "The present password is wrong."),
    "password_same": ("현재 비밀번호와 다른 것을 정하십시오.", "Choose another one than the present one."),
    "password_short": ("새 비밀번호는 10자 이상이어야 합니다.", "The new password needs 10 characters or more."),
    "password_long": ("새 비밀번호는 72바이트를 넘을 수 없습니다.", "The new password has more than 72 bytes."),
    "password_name": (
        "사용자 이름이 거의 전부인 비밀번호는 쓸 수 없습니다.",
        "The new password is hardly more than the user name.",
    ),
    "password_differ": ("새 비밀번호 두 개가 서로 다릅니다.", "The two new passwords differ."),
    "kiosk_title": ("벽 화면 링크", "Links for wall screens"),
    "kiosk_about": (
        "로그인 없이 실시간 화면만 보여 줍니다. 폐기할 때까지 유효합니다.",
        "They show the live page without a login, and nothing else, until they are revoked.",
    ),
    "kiosk_name": ("어느 화면입니까", "Which screen"),
    "kiosk_make": ("링크 만들기", "Make a link"),
    "kiosk_once": (
        "이 주소는 지금 한 번만 표시됩니다. 화면의 시작 페이지로 지정하십시오.",
        "This address is shown once, now. Make it the start page of that screen.",
    ),
    "kiosk_revoke": ("폐기", "Revoke"),
    "kiosk_used": ("마지막 사용", "last used"),
    "kiosk_never": ("아직 사용하지 않음", "not used yet"),
    "kiosk_open": ("화면 열기", "Open the screen"),
    "kiosk_gone": (
        "이 링크는 폐기되었거나 올바르지 않습니다. 엔지니어에게 새 링크를 요청하십시오.",
        "This link is revoked or wrong. Ask an engineer for a new one.",
    ),
    "name_wrong": ("1~64자의 이름이 필요합니다.", "It needs a name of 1 to 64 characters."),
    "not_there": ("이미 폐기되었습니다.", "It is revoked already."),
    "role_viewer": ("열람자", "viewer"),
    "role_operator": ("작업자", "operator"),
    "role_engineer": ("엔지니어", "engineer"),
    "role_admin": ("관리자", "admin"),
    # Errors
    "error_400": ("요청을 이해할 수 없습니다.", "This request makes no sense."),
    "error_401": ("로그인이 필요합니다.", "Please log in."),
    "error_403": ("권한이 없습니다.", "You may not do this."),
    "error_404": ("없는 페이지입니다.", "There is no such page."),
    "error_405": ("이 주소에는 쓸 수 없는 방법입니다.", "This address is not used that way."),
    "error_413": ("요청이 너무 큽니다.", "This request is too large."),
    "error_422": ("입력값이 올바르지 않습니다.", "What was entered is not valid."),
    "error_500": ("프로그램 오류입니다. 로그를 확인하십시오.", "A fault of this program; its log says more."),
    "error_503": (
        "데이터베이스가 응답하지 않습니다. 잠시 후 저절로 다시 연결됩니다.",
        "The database does not answer. This page works again once it is back.",
    ),
    "error_cross_site": (
        "다른 사이트에서 온 요청이라 처리하지 않았습니다. 이 페이지를 다시 여십시오.",
        "This came from another site and was not done. Open the page again.",
    ),
    "back": ("처음으로", "To the first page"),
    # Live page
    "verdict": ("판정", "Verdict"),
    "waiting": ("대기 중", "Waiting"),
    "no_board": ("아직 검사한 기판이 없습니다", "No board yet"),
    "no_news": ("{s}초째 소식 없음", "No news for {s} s"),
    "no_server": ("서버 연결 끊김: {s}초", "No server for {s} s"),
    "no_broker": ("브로커 연결 끊김: {s}초", "No broker for {s} s"),
    "no_database": (
        "데이터베이스가 응답하지 않습니다: 이전 집계는 빠져 있을 수 있습니다",
        "The database does not answer: earlier boards may be missing from the counts",
    ),
    "ago_s": ("{n}초 전", "{n} s ago"),
    "ago_min": ("{n}분 전", "{n} min ago"),
    "ago_h": ("{n}시간 전", "{n} h ago"),
    "cameras": ("카메라", "Cameras"),
    "judged": ("마지막 판정 사진", "Last judged pictures"),
    "judged_none": ("아직 판정 사진이 없습니다", "No judged picture yet"),
    "heat": ("히트맵", "Heat map"),
    "no_picture": ("영상 없음", "No picture"),
    "side_left": ("왼쪽", "Left"),
    "side_right": ("오른쪽", "Right"),
    "side_top": ("윗면", "Top"),
    "side_bottom": ("아랫면", "Bottom"),
    "shift": ("근무조", "Shift"),
    "boards": ("검사 기판", "Boards"),
    "target": ("목표", "Target"),
    "due": ("지금까지 목표", "Due by now"),
    "first_pass": ("직행률", "First-pass yield"),
    "last_boards": ("최근 기판 10장", "Last ten boards"),
    "nodes": ("노드", "Nodes"),
    "state_online": ("정상", "online"),
    "state_degraded": ("주의", "degraded"),
    "state_offline": ("끊김", "offline"),
    "state_silent": ("응답 없음", "silent"),
    "state_unheard": ("소식 없음", "not heard"),
    # Review
    "review": ("검토", "Review"),
    "review_scan": ("기판 스캔", "Scan a board"),
    "review_scan_hint": ("기판 번호 또는 시리얼", "Board id or serial number"),
    "review_open": ("열기", "Open"),
    "review_unknown": ("기록에 없는 기판입니다:", "There is no record of this board:"),
    "review_waiting": ("검토 대기", "Waiting for review"),
    "review_next": ("다음 기판", "Next board"),
    "review_undo": ("되돌리기", "Undo"),
    "review_undone": ("되돌림", "undone"),
    "review_back": ("나중에", "Put back"),
    "review_this": ("이 기판", "This board"),
    "review_good": ("양품의 같은 위치", "The same place of a good board"),
    "review_no_good": ("이 제품의 양품 사진이 아직 없습니다", "No picture of a good board of this product yet"),
    "review_class": ("불량 종류", "Class"),
    "review_all_decided": ("모두 판단했습니다", "All calls are decided"),
    "review_is_it_good": ("정상 판정이 맞습니까?", "Is this board really good?"),
    "review_no_calls": ("표시된 결함이 없습니다", "No defect is marked on this board"),
    "review_mark": (
        "놓친 결함은 사진 위에 끌어서 표시하고 종류를 고르십시오.",
        "A defect that the line missed: drag a rectangle on the picture, and choose its class.",
    ),
    "reason_rejected": ("불량 판정", "Rejected"),
    "reason_doubted": ("확신이 낮은 판정", "Doubted"),
    "reason_random": ("무작위 정상 기판", "Random good boards"),
    "reason_about_rejected": ("라인이 불량으로 본 기판", "what the line called bad"),
    "reason_about_doubted": ("미판정이거나 경계에 있는 기판", "unjudged, or near a threshold"),
    "reason_about_random": ("놓친 불량이 있는지 알기 위한 표본", "a sample that tells what escapes"),
    "decided_confirmed": ("불량 맞음", "Confirm"),
    "decided_false_call": ("오검출", "False call"),
    "decided_other_class": ("다른 종류", "Other class"),
    "decided_missed": ("놓친 결함", "Missed defect"),
    "decided_repaired": ("수리함", "Repaired"),
    "decided_unsure": ("모르겠음", "Unsure"),
    "whole_confirmed": ("정상 맞음", "It is good"),
    "whole_false_call": ("양품임", "It is good"),
    # History
    "history": ("이력", "History"),
    "history_any": ("전체", "Any"),
    "history_since": ("시작일", "From"),
    "history_until": ("종료일", "To"),
    "history_side": ("촬영면", "Side"),
    "history_both": ("양면", "Both"),
    "history_status": ("상태", "Status"),
    "history_product": ("제품", "Product"),
    "history_board": ("기판 번호", "Board"),
    "history_serial": ("시리얼", "Serial"),
    "history_model": ("모델", "Model"),
    "history_show": ("조회", "Show"),
    "history_clear": ("조건 지우기", "Clear"),
    "history_time": ("검사 시각", "Time"),
    "history_confidence": ("신뢰도", "Confidence"),
    "history_none": ("조건에 맞는 기판이 없습니다.", "No board is like that."),
    "history_newer": ("최근 기판", "Newer"),
    "history_older": ("이전 기판", "Older"),
    "history_no_day": (
        "없는 날짜입니다: {day}. 2026-12-01 형식으로 입력하십시오.",
        "There is no such day: {day}. Write it as 2026-12-01.",
    ),
    "history_backwards": ("종료일이 시작일보다 빠릅니다.", "The last day comes before the first."),
    "history_too_long": (
        "검색어는 128자 이하의 글자여야 합니다.",
        "What you look for has at most 128 characters, all of them printable.",
    ),
    "history_no_shift": (
        "없는 근무조입니다: {shift}. 목록에서 고르십시오.",
        "There is no shift that begins at {shift}. Choose one of the list.",
    ),
    "history_no_page": (
        "페이지 주소가 올바르지 않습니다. 첫 페이지부터 다시 조회하십시오.",
        "The address names no page. Begin with the first one again.",
    ),
    "export_csv": ("CSV 저장", "Save as CSV"),
    "export_excel": ("Excel 저장", "Save as Excel"),
    "export_limit": ("파일 하나에 최대 {n}장", "At most {n} boards in a file"),
    "export_more": (
        "기판이 더 있지만 파일 하나에 담을 수 있는 수를 넘었습니다. 기간을 나누어 저장하십시오.",
        "There are more than one file holds: save shorter periods one by one.",
    ),
    "export_defects": ("결함", "Defects"),
    "statistics": ("통계", "Statistics"),
    "statistics_raw": ("직행률(판정 기준)", "First-pass yield as judged"),
    "statistics_corrected": ("직행률(검토 반영)", "First-pass yield, corrected by review"),
    "statistics_escapes": ("유출률(추정)", "Escapes, estimated"),
    "statistics_false_calls": ("과검출률(추정)", "False calls, estimated"),
    "statistics_interval": ("95% 구간", "95 % interval"),
    "statistics_looked": ("검토한 기판 {n}장", "{n} of them reviewed"),
    "statistics_none": ("이 기간에 검사한 기판이 없습니다.", "No board was inspected in this period."),
    "statistics_too_long": ("기간은 최대 {n}일입니다.", "A period has at most {n} days."),
    "statistics_control": ("불량률 관리도(p)", "Control chart of the defect share"),
    "statistics_by_hour": ("시간별", "by hour"),
    "statistics_by_day": ("일별", "by day"),
    "statistics_numbers": ("수치 보기", "Numbers"),
    "statistics_share": ("불량률", "Defect share"),
    "statistics_limits": ("관리 한계", "Limits"),
    "statistics_rules": ("이상 판정 규칙", "Rules broken"),
    "statistics_pareto": ("불량 종류별 파레토", "Pareto by class"),
    "statistics_sides": ("촬영면별 양품 외 기판", "Boards that were not good, by deciding side"),
    "statistics_of_all": ("비율", "Share"),
    "statistics_cumulated": ("누적", "Cumulated"),
    "statistics_hours": ("시간대", "Hour of the day"),
    "statistics_not_good": ("양품 외", "Not good"),
    "statistics_places": ("기판 위 결함 위치", "Where on the board"),
    "status_ok": ("완료", "complete"),
    "status_incomplete": ("한 면 누락", "a side is missing"),
    "story_pictures": ("사진", "Pictures"),
    "story_times": ("처리 시간", "Times"),
    "story_no_times": ("기록된 시각이 없습니다.", "No time is known."),
    "story_gates": ("게이트 동작", "Gate reports"),
    "story_no_gate": ("게이트 보고가 없습니다.", "No gate has reported."),
    "story_serials": ("시리얼과 검사 이력", "Serials and their passes"),
    "story_no_serial": ("읽은 시리얼이 없습니다.", "No serial was read."),
    "story_no_review": ("아직 검토하지 않았습니다.", "Nobody has looked at it yet."),
    "step_triggered": ("트리거", "Trigger"),
    "step_captured": ("촬영", "Capture"),
    "step_judged": ("판정", "Verdict"),
    "step_gated": ("게이트", "Gate"),
    # Verdicts; in Korean the labels of the taxonomy come before these
    "normal": ("정상", "GOOD"),
    "component": ("부품불량", "COMPONENT"),
    "solder": ("납땜불량", "SOLDER"),
    "scrap": ("폐기", "SCRAP"),
    "unjudged": ("미판정", "UNJUDGED"),
    **OFFICE,
}

OF_SCRIPTS = (
    *("waiting", "no_board", "no_news", "no_server", "no_broker", "no_database", "ago_s", "ago_min", "ago_h"),
    *("judged_none", "no_picture", "target", "due", "heat"),
    *("state_online", "state_degraded", "state_offline", "state_silent", "state_unheard"),
    *("normal", "component", "solder", "scrap", "unjudged"),
    *("side_left", "side_right", "side_top", "side_bottom"),
)
"""What `live.js` writes by itself."""


def text(key: str, language: Language) -> str:
    """
    Raises:
        KeyError: there is no such text.
    """
    return TEXTS[key][LANGUAGES.index(language)]


def preferred(accept: str) -> Language:
    """Of an `Accept-Language` header (RFC 9110, 12.5.4): the one with the highest weight; English for other tongues."""
    weighted = []
    for part in accept.split(","):
        tag, _, weight = part.strip().partition(";q=")
        name = tag.partition("-")[0].lower()
        if name in LANGUAGES:
            weighted.append((_weight(weight), name))
    fallback = "en" if accept.strip(" ,*") else "ko"
    best = max(weighted, key=lambda each: each[0], default=(0.0, fallback))
    return "en" if best[1] == "en" else "ko"


def _weight(text: str) -> float:
    try:
        return float(text) if text else 1.0
    except ValueError:
        return 0.0
